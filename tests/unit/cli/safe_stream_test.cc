#include "cli/safe_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "token/token_string.h"

namespace tollgate::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string TokenString() {
  base::SeededRandom random(7);
  return std::string(
      token::TokenFormat().Mint(token::TokenKind::kWorkspace, random).token_string.RevealSecret());
}

TEST(Redacted, TakesOutTokenStringsAndTheirBeginnings) {
  const std::string token = TokenString();
  EXPECT_EQ(Redacted(token), "(a token string)");
  EXPECT_EQ(Redacted(absl::StrCat("x '", token, "', ", token, "!")),
            "x '(a token string)', (a token string)!");
  EXPECT_EQ(Redacted("'" + token.substr(0, 40) + "' is no duration"),
            "'(a token string)' is no duration");
  EXPECT_EQ(Redacted(token.substr(0, 20)), "(a token string)");
  EXPECT_EQ(Redacted("acmew_" + token.substr(4)), "(a token string)") << "of any brand";
  EXPECT_THAT(Redacted("averylongbrandw_" + token.substr(4)), Not(HasSubstr(token.substr(4))));
  EXPECT_THAT(Redacted(token + "_" + token), Not(HasSubstr(token.substr(4, 20))));
}

TEST(Redacted, LeavesTheRest) {
  for (const char* text :
       {"", "_", "w_", "LABEL_REQUIRED", "workspaces/acme/tokens/4mXp81QzR0aYc7Ld",
        "'tgw_4mXp81QzR0aYc7L' is no duration", "--wait_for_it", "x_4mXp81QzR0aYc7Ld7Jk0"}) {
    EXPECT_EQ(Redacted(text), text);
  }
}

TEST(SafeStream, LetsNothingThroughThatDrivesATerminal) {
  std::ostringstream to;
  {
    SafeStream stream(&to, SafeStream::Secrets::kPass);
    stream << "a\x1b[2J" << 1 << '\n' << "größe\n";
    EXPECT_EQ(to.str(), "a?[2J1\ngröße\n");
    stream << "gr\xC3" << std::flush << "\xB6";  // cut in the middle, it is none
    EXPECT_EQ(to.str(), "a?[2J1\ngröße\ngr?");
  }
  EXPECT_EQ(to.str(), "a?[2J1\ngröße\ngr??") << "the rest, when it goes";
}

TEST(SafeStream, RedactsWhatComesInPieces) {
  const std::string token = TokenString();
  std::ostringstream to;
  SafeStream stream(&to, SafeStream::Secrets::kRedact);
  stream << "refused: ";
  for (const char c : token) stream << c;
  stream << " is none\n";
  EXPECT_EQ(to.str(), "refused: (a token string) is none\n");
  std::ostringstream shown;
  SafeStream out(&shown, SafeStream::Secrets::kPass);
  out << token << std::flush;
  EXPECT_EQ(shown.str(), token);
}

TEST(SafeStream, IsBadOnceTheOtherIs) {
  std::ofstream full("/dev/full");
  SafeStream stream(&full, SafeStream::Secrets::kPass);
  stream << "x\n";
  EXPECT_FALSE(stream.flush());
}

}  // namespace
}  // namespace tollgate::cli
