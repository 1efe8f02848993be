// What lint finds, and what it leaves alone.
#include "policy/lint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tollgate::policy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

PolicyFile Read(const std::string& routes, const std::string& more = "") {
  return ReadPolicyFile("version: 1\nroutes:\n" + routes + more, "edge.yaml").value();
}

// "CHECK LINE" of each finding.
std::vector<std::string> Checks(const PolicyFile& file) {
  std::vector<std::string> checks;
  for (const Finding& finding : Lint(file)) {
    checks.push_back(absl::StrCat(finding.check, " ", finding.line));
  }
  return checks;
}

TEST(Lint, FindsRulesThatCanNeverMatch) {
  const PolicyFile file = Read(
      "- {path: /a, needs: token}\n"                               // 1, line 3
      "- {path: /a, methods: GET, needs: token}\n"                 // 2: by 1
      "- {prefix: /b, host: \"*.example\", needs: token}\n"        // 3
      "- {path: \"/b/{x}/c\", host: api.example, needs: token}\n"  // 4: by 3
      "- {path: /b/c, needs: token}\n"                             // 5: another host
      "- {path: \"/c/{x}\", methods: GET, needs: token}\n"         // 6
      "- {path: \"/c/{x}\", methods: POST, needs: token}\n"        // 7
      "- {path: /c/d, methods: [GET, POST], needs: token}\n"       // 8: by 6 and 7
      "- {path: /c/d, methods: [GET, PUT], needs: token}\n"        // 9: PUT is left
      "- {path: /c/d, needs: token}\n"                             // 10: other methods
      "- {path: /A, needs: token}\n");                             // 11: by 1, in its case
  EXPECT_THAT(Checks(file), ElementsAre("never-matches 4", "never-matches 6", "never-matches 10",
                                        "never-matches 13"));
  EXPECT_THAT(ShadowedBy(file, 2), ElementsAre(1));
  EXPECT_THAT(ShadowedBy(file, 8), ElementsAre(6, 7));
  EXPECT_THAT(ShadowedBy(file, 9), IsEmpty());
  EXPECT_THAT(Lint(file)[2].text, HasSubstr("rule 6 (line 8) and rule 7 (line 9) take all that"));
  EXPECT_THAT(Lint(file)[3].text, HasSubstr("in the case of letters only"));
}

TEST(Lint, TellsNoCaseWhereTheServicesDo) {
  EXPECT_THAT(Checks(Read("- {path: /a, needs: token}\n- {path: /A, needs: token}\n",
                          "path_case: sensitive\n")),
              IsEmpty());
}

TEST(Lint, FindsWhatIsOpenByOversight) {
  EXPECT_THAT(
      Checks(Read("- {path: /a, methods: POST, needs: token}\n- {prefix: /, needs: public}\n")),
      ElementsAre("other-methods-public 3", "all-public 4"));
  EXPECT_THAT(Checks(Read("- {path: /a, methods: POST, needs: token}\n", "otherwise: public\n")),
              ElementsAre("other-methods-public 3", "otherwise-public 4"));
  EXPECT_THAT(Checks(Read("- {path: /a, methods: POST, needs: token}\n"
                          "- {path: /a, needs: token}\n- {prefix: /a, needs: public}\n")),
              IsEmpty())
      << "the other methods are guarded, too";
  EXPECT_THAT(
      Checks(Read("- {prefix: /docs, needs: public}\n- {methods: OPTIONS, needs: public}\n")),
      IsEmpty());
}

TEST(Lint, FindsAWorkspaceThatNobodyChecks) {
  EXPECT_THAT(Checks(Read("- {path: \"/{workspace}/a\", needs: token}\n"
                          "- {path: \"/{workspace}/b\", needs: {workspace: \"{workspace}\"}}\n"
                          "- {path: \"/{workspace}/c\", needs: public}\n"
                          "- {path: \"/{id}/d\", needs: token}\n")),
              ElementsAre("workspace-unchecked 3"));
}

TEST(Lint, FindsWhereTokensLeak) {
  EXPECT_THAT(Checks(Read("- {needs: token}\n",
                          "credentials: [{query: t}]\nupstream: {credential: keep}\n")),
              ElementsAre("credential-in-query 0", "credential-kept 0"));
}

}  // namespace
}  // namespace tollgate::policy
