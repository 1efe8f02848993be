#include "cli/flag_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/status.h"
#include "tests/unit/cli/outcome.h"

namespace tollgate::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class FlagNamesTest : public testing::Test {
 protected:
  FlagNamesTest() : app_("t", "tollgate") {
    app_.add_option("--timeout", timeout_);
    CLI::App* const verb = app_.add_subcommand("create");
    verb->fallthrough();
    verb->add_option("--label", label_);
    verb->add_option("--scope", scopes_);
    verb->add_option("--expires-in", expires_in_);
    verb->add_option("-w,--workspace", workspace_);
  }
  void Type(std::vector<std::string> words) {
    std::reverse(words.begin(), words.end());
    app_.parse(words);
  }

  CLI::App app_;
  std::string timeout_, label_, expires_in_, workspace_;
  std::vector<std::string> scopes_;
  FlagNames names_{&app_};
};

TEST_F(FlagNamesTest, AFieldIsNamedByTheFlagThatWasTyped) {
  Type({"create", "--label", "x", "--scope", "a", "--expires-in", "9q", "-w", "Acme"});
  EXPECT_EQ(names_.OfField("token.label"), "--label");
  EXPECT_EQ(names_.OfField("token.scopes[3]"), "--scope");
  EXPECT_EQ(names_.OfField("lifetime"), "--expires-in");
  EXPECT_EQ(names_.OfField("parent"), "--workspace");
  EXPECT_EQ(names_.OfField("token.owner"), "") << "the command has no such flag";
  EXPECT_EQ(names_.OfField("timeout"), "") << "it was not typed";
  const absl::Status refused =
      names_.InFlags(base::RefuseField("LABEL_REQUIRED", "token.label", "is empty"));
  EXPECT_EQ(refused.message(), "--label: is empty");
  EXPECT_EQ(base::ReasonOf(refused), "LABEL_REQUIRED");
  EXPECT_EQ(base::DetailsOf(refused).fields[0].field, "--label");
}

TEST_F(FlagNamesTest, AValueIsNamedByItsFlagWhereOnlyOneHasIt) {
  Type({"create", "--label", "9q", "--expires-in", "9q", "--timeout", "later"});
  EXPECT_EQ(names_.OfValue("later"), "--timeout");
  EXPECT_EQ(names_.OfValue("9q"), "");
  EXPECT_EQ(names_.InFlags(absl::InvalidArgumentError("'later' is no duration")).message(),
            "--timeout: 'later' is no duration");
  EXPECT_EQ(names_.InFlags(absl::InvalidArgumentError("'other' is no duration")).message(),
            "'other' is no duration");
  EXPECT_EQ(names_.InFlags(absl::NotFoundError("'later' is gone")).message(), "'later' is gone");
}

TEST(FlagNames, StandInWhatTheCommandSays) {
  EXPECT_THAT(Tollgate({"token", "create", "-w", "acme", "--label", "x", "--expires-in", "9q"}).err,
              StartsWith("refused: --expires-in: '9q' is no duration"));
  EXPECT_THAT(Tollgate({"token", "list", "-w", "acme", "--unused-for", "never"}).err,
              HasSubstr("--unused-for: 'never' is no duration"));
}

}  // namespace
}  // namespace tollgate::cli
