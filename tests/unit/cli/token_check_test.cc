// `tollgate token check` against a validator that is scripted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/unit/cli/outcome.h"
#include "tests/unit/cli/scripted_service.h"

namespace tollgate::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TokenCheck : public testing::Test {
 protected:
  TokenCheck() {
    validator_.validate.Script([](int, const auto&, auto* response) {
      response->set_verdict(v1::VERDICT_DENY);
      response->set_reason(v1::VERDICT_REASON_WRONG_WORKSPACE);
      response->set_description("not meant for this workspace");
      return grpc::Status::OK;
    });
  }
  Outcome Check(std::vector<std::string> flags) {
    flags.insert(flags.begin(),
                 {"--edge", validator_.address(), "--config", "/dev/null", "token", "check"});
    return Tollgate(std::move(flags), "tgw_x\n");
  }

  ScriptedService validator_;
};

TEST_F(TokenCheck, AsksForAllThatARequirementCanName) {
  for (const char* workspace : {"acme", "workspaces/acme"}) {
    const Outcome outcome =
        Check({"--scope", "a", "--scope", "b", "--all-scopes", "c", "--scope-expression",
               "d AND (e OR f)", "--audience", "payments", "-w", workspace});
    EXPECT_EQ(outcome.code, kDenied) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("refused     not meant for this workspace"));
    const v1::Requirement needs = validator_.validate.asked().back().requirement();
    EXPECT_THAT(needs.any_scopes(), ElementsAre("a", "b"));
    EXPECT_THAT(needs.all_scopes(), ElementsAre("c"));
    EXPECT_EQ(needs.scope_expression(), "d AND (e OR f)");
    EXPECT_EQ(needs.audience(), "payments");
    EXPECT_EQ(needs.workspace(), "acme");
  }
}

TEST_F(TokenCheck, AWorkspaceThatIsNoneIsNotTakenForAny) {
  for (const char* workspace : {"", "workspaces/", "ACME", "acme/tokens/x"}) {
    EXPECT_EQ(Check({"-w", workspace}).code, kBadUsage) << workspace;
  }
  EXPECT_EQ(validator_.validate.asked().size(), 0u);
}

// An operator works in one workspace by default; whether a token is good does not depend on it.
TEST_F(TokenCheck, TheWorkspaceOfTheEnvironmentIsNotAskedFor) {
  setenv("TOLLGATE_WORKSPACE", "acme", 1);
  EXPECT_EQ(Check({}).code, kDenied);
  unsetenv("TOLLGATE_WORKSPACE");
  EXPECT_EQ(validator_.validate.asked().back().requirement().workspace(), "");
}

TEST_F(TokenCheck, AUrlsPolicySaysWhatIsNeeded) {
  for (const std::vector<std::string>& flag :
       std::vector<std::vector<std::string>>{{"--scope-expression", "a"}, {"-w", "acme"}}) {
    std::vector<std::string> flags = {"--url", "http://127.0.0.1:1/"};
    flags.insert(flags.end(), flag.begin(), flag.end());
    EXPECT_EQ(Check(flags).code, kBadUsage) << flag[0];
  }
}

}  // namespace
}  // namespace tollgate::cli
