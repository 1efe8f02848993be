// An embedded edge against a scripted service.
#ifndef TOLLGATE_TESTS_UNIT_VALIDATOR_EMBEDDED_EDGE_FIXTURE_H_
#define TOLLGATE_TESTS_UNIT_VALIDATOR_EMBEDDED_EDGE_FIXTURE_H_

#include <string>

#include "base/random.h"
#include "tests/unit/validator/shells/scripted_service.h"
#include "token/token_string.h"
#include "tollgate/edge.h"

namespace tollgate::validator {

inline constexpr std::chrono::milliseconds kLongEnough = std::chrono::seconds(30);

struct TestToken {
  std::string id;
  std::string string;
};

class EmbeddedTest : public ScriptedServiceTest {
 protected:
  edge::Options Options() const {
    edge::Options options;
    options.id = "test/edge-1";
    options.service = address_;
    options.longest_backoff = std::chrono::milliseconds(50);
    options.cache_entries = 1024;
    options.unknown_entries = 1024;
    return options;
  }

  // A token that the service knows.
  TestToken MakeToken(v1::TokenState state = v1::TOKEN_STATE_ACTIVE) {
    const TestToken token = MakeStranger();
    SetState(token, state);
    return token;
  }
  // A token that the service does not know.
  static TestToken MakeStranger() {
    token::TokenFormat::Minted minted =
        token::TokenFormat().Mint(token::TokenKind::kWorkspace, base::SystemRandom());
    return {minted.public_id, std::string(minted.token_string.RevealSecret())};
  }
  void SetState(const TestToken& token, v1::TokenState state, int64_t expire = 4'000'000'000,
                const std::vector<std::string>& scopes = {"deploy:write", "deploy:read"}) {
    v1::Grant grant;
    grant.set_token("workspaces/acme/tokens/" + token.id);
    grant.set_workspace("acme");
    grant.set_token_id(token.id);
    grant.set_owner("ci");
    grant.set_state(state);
    for (const std::string& scope : scopes) grant.add_scopes(scope);
    grant.mutable_expire_time()->set_seconds(expire);
    grant.set_create_revision(5);
    (*grant.mutable_annotations())["team"] = "payments";
    (*grant.mutable_annotations())["note"] = "";
    (*grant.mutable_annotations())["zone"] = "eu";
    service_.AddGrant(token.string, grant);
  }
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_TESTS_UNIT_VALIDATOR_EMBEDDED_EDGE_FIXTURE_H_
