#include "cli/help.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_split.h"
#include "tests/unit/cli/outcome.h"
#include "text/display_width.h"

namespace tollgate::cli {
namespace {

using testing::ElementsAre;

TEST(WrappedLines, BreaksBetweenWords) {
  EXPECT_THAT(WrappedLines("one two three", 7), ElementsAre("one two", "three"));
  EXPECT_THAT(WrappedLines("longer-than-that x", 7), ElementsAre("longer-than-that", "x"));
  EXPECT_THAT(WrappedLines("a\n  b c\n", 40), ElementsAre("a", "  b c"));
  EXPECT_THAT(WrappedLines("", 40), ElementsAre(""));
}

// The names of the commands under a heading of the help.
std::vector<std::string> CommandsIn(const std::string& help) {
  std::vector<std::string> names;
  bool under = false;
  for (absl::string_view line : absl::StrSplit(help, '\n')) {
    if (line == "Subcommands:") under = true;
    if (!under || line.size() < 3 || line.substr(0, 2) != "  " || line[2] == ' ') continue;
    names.emplace_back(line.substr(2, line.find(' ', 2) - 2));
  }
  return names;
}

void CheckHelp(const std::vector<std::string>& path, size_t* seen) {
  std::vector<std::string> words = path;
  words.push_back("--help");
  const Outcome outcome = Tollgate(words);
  ASSERT_EQ(outcome.code, kDone);
  ++*seen;
  for (absl::string_view line : absl::StrSplit(outcome.out, '\n')) {
    EXPECT_LE(text::DisplayWidth(line), 80u) << testing::PrintToString(path) << "\n" << line;
  }
  for (const std::string& name : CommandsIn(outcome.out)) {
    std::vector<std::string> deeper = path;
    deeper.push_back(name);
    CheckHelp(deeper, seen);
  }
}

TEST(Help, FitsEightyColumnsEverywhere) {
  size_t seen = 0;
  CheckHelp({}, &seen);
  EXPECT_GT(seen, 30u) << "it found the commands";
}

}  // namespace
}  // namespace tollgate::cli
