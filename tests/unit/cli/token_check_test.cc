// `tollgate token check` against a validator that is scripted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/secret.h"
#include "tests/unit/cli/outcome.h"
#include "tests/unit/cli/scripted_service.h"
#include "token/token_string.h"

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
    EXPECT_THAT(outcome.out, HasSubstr("refused      not meant for this workspace"));
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

TEST_F(TokenCheck, NamesTheScopeThatIsMissing) {
  validator_.validate.Script([](int, const auto&, auto* response) {
    response->set_verdict(v1::VERDICT_DENY);
    response->set_reason(v1::VERDICT_REASON_INSUFFICIENT_SCOPE);
    response->set_description("a needed scope is missing");
    response->set_http_status(403);
    response->set_error("insufficient_scope");
    response->mutable_identity()->set_token("workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
    response->mutable_identity()->add_scopes("items:*");
    return grpc::Status::OK;
  });
  const Outcome outcome =
      Check({"--scope", "admin", "--scope", "deploy:write", "--all-scopes", "items:read",
             "--all-scopes", "mail:send", "--scope-expression", "items:read OR admin"});
  EXPECT_EQ(outcome.code, kDenied);
  EXPECT_THAT(outcome.out,
              HasSubstr("  HTTP    403 insufficient_scope\n"
                        "  token   workspaces/acme/tokens/4mXp81QzR0aYc7Ld\n"
                        "  missing mail:send, and admin or deploy:write; the token has items:*\n"));
  const Outcome json = Check({"-o", "json", "--scope", "admin", "--scope-expression", "a AND b"});
  EXPECT_THAT(json.out, HasSubstr("\"http_status\": 403"));
  EXPECT_THAT(json.out, HasSubstr("a AND b"));
}

TEST_F(TokenCheck, SaysSinceWhenThereIsNoLease) {
  validator_.validate.Script([](int nth, const auto&, auto* response) {
    response->set_verdict(v1::VERDICT_UNAVAILABLE);
    response->set_reason(v1::VERDICT_REASON_NO_LEASE);
    response->set_http_status(503);
    if (nth == 1) response->mutable_last_lease_age()->set_seconds(71);
    return grpc::Status::OK;
  });
  const Outcome never = Check({});
  EXPECT_EQ(never.code, kNoAnswer);
  EXPECT_THAT(never.out, HasSubstr("  HTTP    503"));
  EXPECT_THAT(never.out, HasSubstr("none, and none since the validator's start"));
  EXPECT_THAT(Check({}).out, HasSubstr("the last one was asked for 71 s ago"));
}

TEST_F(TokenCheck, NamesWhatWasPasted) {
  validator_.validate.Script([](int, const auto&, auto* response) {
    response->set_verdict(v1::VERDICT_DENY);
    response->set_reason(v1::VERDICT_REASON_MALFORMED);
    response->set_http_status(401);
    response->set_error("invalid_token");
    return grpc::Status::OK;
  });
  base::InitSecrets();
  const auto minted = token::TokenFormat().Mint(token::TokenKind::kWorkspace, base::SystemRandom());
  const std::string secret(minted.token_string.RevealSecret());
  const std::vector<std::string> flags = {
      "--edge", validator_.address(), "--config", "/dev/null", "token", "check"};
  const Outcome outcome = Tollgate(flags, "Bearer " + secret + "\n");
  EXPECT_EQ(outcome.code, kDenied);
  EXPECT_THAT(outcome.out, HasSubstr("  HTTP    401 invalid_token\n  What was pasted begins with "
                                     "\"Bearer\", which belongs to the header; without that it is "
                                     "a token string.\n"));
  EXPECT_EQ(validator_.validate.asked().back().token_string(), "Bearer " + secret)
      << "the edge is asked about what was pasted";
  EXPECT_THAT(outcome.out, testing::Not(HasSubstr(secret.substr(20, 43))));
}

// The public id is no secret, and finds the token.
TEST_F(TokenCheck, SaysWhichTokenItIs) {
  validator_.validate.Script([](int, const auto&, auto* response) {
    response->set_verdict(v1::VERDICT_DENY);
    response->set_reason(v1::VERDICT_REASON_REVOKED);
    return grpc::Status::OK;
  });
  base::InitSecrets();
  const auto minted = token::TokenFormat().Mint(token::TokenKind::kWorkspace, base::SystemRandom());
  const Outcome outcome =
      Tollgate({"--edge", validator_.address(), "--config", "/dev/null", "token", "check"},
               std::string(minted.token_string.RevealSecret()) + "\n");
  EXPECT_THAT(outcome.out, HasSubstr("  token   " + minted.public_id + "\n"));
  EXPECT_THAT(outcome.out, HasSubstr("tollgate token history " + minted.public_id));
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
