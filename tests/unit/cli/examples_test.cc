// What --help shows to type can be typed.
#include "cli/examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/random.h"
#include "tests/unit/cli/outcome.h"
#include "token/token_string.h"

namespace tollgate::cli {
namespace {

using testing::HasSubstr;

// The commands beneath these words, as their help lists them; empty: none are.
std::vector<std::string> Beneath(const std::vector<std::string>& words) {
  std::vector<std::string> asked = words;
  asked.push_back("--help");
  const Outcome help = Tollgate(asked);
  EXPECT_EQ(help.code, kDone) << absl::StrJoin(words, " ");
  std::vector<std::string> names;
  bool listed = false;
  for (absl::string_view line : absl::StrSplit(help.out, '\n')) {
    if (line == "Subcommands:") listed = true;
    if (line.empty()) listed = false;
    if (!listed || !absl::ConsumePrefix(&line, "  ") || absl::StartsWith(line, " ")) continue;
    names.emplace_back(line.substr(0, line.find(' ')));
  }
  return names;
}

void AddLeaves(const std::vector<std::string>& words, std::vector<std::string>* leaves) {
  // `help`'s own help is that of the program.
  const auto names =
      words == std::vector<std::string>{"help"} ? std::vector<std::string>() : Beneath(words);
  for (const std::string& name : names) {
    std::vector<std::string> more = words;
    more.push_back(name);
    AddLeaves(more, leaves);
  }
  if (names.empty()) leaves->push_back(absl::StrJoin(words, " "));
}

// As a shell takes the line apart: the words of its `tollgate`, and whether it stands in $( ).
std::vector<std::string> WordsOf(absl::string_view line) {
  const size_t at = line.find("tollgate ");
  EXPECT_NE(at, absl::string_view::npos) << line;
  line.remove_prefix(at);
  std::vector<std::string> words;
  std::string word;
  char quote = 0;
  for (const char c : absl::StrCat(line, " ")) {
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '|' || c == ')' || c == '<') {
      if (!word.empty()) words.push_back(word);
      word.clear();
      break;
    } else if (c == ' ') {
      if (!word.empty()) words.push_back(word == "$ID" ? "4mXp81QzR0aYc7Ld" : word);
      word.clear();
    } else {
      word += c;
    }
  }
  EXPECT_EQ(quote, 0) << line;
  EXPECT_EQ(words.front(), "tollgate");
  words.erase(words.begin());
  return words;
}

class Examples : public testing::Test {
 protected:
  void SetUp() override {
    home_ = absl::StrCat(testing::TempDir(), "/tollgate-examples.", getpid());
    std::filesystem::create_directories(home_ + "/tollgate");
    setenv("XDG_CONFIG_HOME", home_.c_str(), 1);
    setenv("TOLLGATE_SERVICE", "unix:/nonexistent/service.sock", 1);
    setenv("TOLLGATE_EDGE", "unix:/nonexistent/edge.sock", 1);
    setenv("TOLLGATE_WORKSPACE", "acme", 1);
  }
  void TearDown() override {
    for (const char* name :
         {"XDG_CONFIG_HOME", "TOLLGATE_SERVICE", "TOLLGATE_EDGE", "TOLLGATE_WORKSPACE"}) {
      unsetenv(name);
    }
    std::filesystem::remove_all(home_);
  }

  std::string home_;
};

TEST_F(Examples, StandInEveryCommandsHelp) {
  std::vector<std::string> leaves;
  for (const std::string& name : Beneath({})) AddLeaves({name}, &leaves);
  EXPECT_GT(leaves.size(), 30u);
  for (const std::string& leaf : leaves) {
    const std::vector<absl::string_view> lines = ExamplesOf(leaf);
    EXPECT_FALSE(lines.empty()) << leaf << " has no example";
    if (leaf == "help") continue;
    std::vector<std::string> asked = absl::StrSplit(leaf, ' ');
    asked.push_back("--help");
    const std::string help = Tollgate(asked).out;
    for (const absl::string_view line : lines) {
      EXPECT_THAT(help, HasSubstr(absl::StrCat("\n  ", line, "\n"))) << leaf;
    }
  }
}

TEST_F(Examples, AreWithin80ColumnsAndTaken) {
  std::vector<std::string> leaves;
  for (const std::string& name : Beneath({})) AddLeaves({name}, &leaves);
  base::SeededRandom random(7);
  const std::string token_string(
      token::TokenFormat().Mint(token::TokenKind::kWorkspace, random).token_string.RevealSecret());
  size_t tried = 0;
  for (const std::string& leaf : leaves) {
    for (const absl::string_view line : ExamplesOf(leaf)) {
      EXPECT_LE(line.size(), 76u) << line;
      std::vector<std::string> words = WordsOf(line);
      EXPECT_TRUE(absl::StartsWith(absl::StrJoin(words, " "), leaf)) << line;
      for (std::string& word : words) {
        if (word == "edge.yaml")
          word = std::string(TOLLGATE_SOURCE_DIR) + "/examples/nginx/policy.yaml";
        // Nobody outside is asked.
        if (absl::StartsWith(word, "https://")) word = "https://127.0.0.1:1/v1/items";
      }
      const Outcome outcome = Tollgate(words, token_string);
      EXPECT_NE(outcome.code, kBadUsage) << line << "\n" << outcome.err;
      ++tried;
    }
  }
  EXPECT_GT(tried, 40u);
}

}  // namespace
}  // namespace tollgate::cli
