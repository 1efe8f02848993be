#include "token/resource_name.h"

#include <gtest/gtest.h>

#include <string>

#include "base/status.h"

namespace tollgate::token {
namespace {

TEST(ResourceNameTest, ThereAndBack) {
  EXPECT_EQ(WorkspaceName("acme"), "workspaces/acme");
  EXPECT_EQ(ParseWorkspaceName("workspaces/acme-2", "name").value(), "acme-2");
  const std::string name = FormatTokenName("acme", "4mXp81QzR0aYc7Ld");
  EXPECT_EQ(name, "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  EXPECT_EQ(ParseTokenName(name, "name")->workspace, "acme");
  EXPECT_EQ(ParseTokenName(name, "name")->token_id, "4mXp81QzR0aYc7Ld");
}

class BadNameTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(
    Table, BadNameTest,
    ::testing::Values("", "acme", "workspaces", "workspaces/", "workspaces/-a", "workspaces/a-",
                      "workspaces/Acme", "workspaces/a_b", "workspaces/a.b", "workspaces/-",
                      "workspaces/*", "/workspaces/acme", "workspaces/acme/",
                      "workspaces//tokens/4mXp81QzR0aYc7Ld", "workspaces/tokens/4mXp81QzR0aYc7Ld",
                      "workspaces/acme/tokens/", "workspaces/acme/tokens/4mXp81QzR0aYc7L",
                      "workspaces/acme/tokens/4mXp81QzR0aYc7Ld0",
                      "workspaces/acme/tokens/4mXp81QzR0aYc7L-",
                      "workspaces/acme/tokens/4mXp81QzR0aYc7Ld/x", "workspaces/acme/tokens/-",
                      "workspaces/a/b/tokens/4mXp81QzR0aYc7Ld",
                      "workspaces/acme/TOKENS/4mXp81QzR0aYc7Ld",
                      std::string("workspaces/a\0b/tokens/4mXp81QzR0aYc7Ld", 39),
                      "workspaces/" + std::string(64, 'a'),
                      "workspaces/" + std::string(64, 'a') + "/tokens/4mXp81QzR0aYc7Ld",
                      std::string(1 << 20, 'a')));
TEST_P(BadNameTest, IsRefusedByBoth) {
  for (const absl::Status& status : {ParseWorkspaceName(GetParam(), "the.field").status(),
                                     ParseTokenName(GetParam(), "the.field").status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    const base::ErrorDetails details = base::DetailsOf(status);
    EXPECT_EQ(details.reason, "BAD_RESOURCE_NAME");
    ASSERT_EQ(details.fields.size(), 1u);
    EXPECT_EQ(details.fields[0].field, "the.field");
    EXPECT_LT(status.message().size(), 300u);
  }
}

TEST(ResourceNameTest, ATokenStringInTheNameIsNotQuoted) {
  const auto status =
      ParseTokenName("workspaces/acme/tokens/tgw_4mXp81QzR0aYc7Ld003aUlTJC7tjlCTQj2uNU3MF", "name")
          .status();
  EXPECT_EQ(status.ToString().find("003aUlTJC7tjl"), std::string::npos);
}

TEST(ResourceNameTest, LongestWorkspace) {
  EXPECT_TRUE(IsWorkspaceId(std::string(63, 'a')));
  EXPECT_TRUE(IsWorkspaceId("7"));
}

}  // namespace
}  // namespace tollgate::token
