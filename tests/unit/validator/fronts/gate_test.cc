#include "validator/fronts/gate.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/unit/validator/fronts/played_edge.h"
#include "validator/fronts/answer_id.h"

namespace tollgate::validator {
namespace {

using namespace tollgate::v1;  // NOLINT: the enumerators are long

class GateTest : public ::testing::Test {
 protected:
  GateAnswer Ask(const std::string& token, policy::Request request = {}) {
    const std::string bearer = absl::StrCat("Bearer ", token);
    const policy::Header header = {"Authorization", bearer};
    if (!token.empty()) request.headers = absl::MakeConstSpan(&header, 1);
    std::vector<GateAnswer> answers;
    gate_.Ask(request, [&answers](const GateAnswer& answer) { answers.push_back(answer); });
    EXPECT_EQ(answers.size(), 1u);
    return answers.empty() ? GateAnswer() : answers.front();
  }
  static std::string Of(const GateAnswer::Headers& headers, const std::string& name) {
    for (const auto& [other, value] : headers) {
      if (other == name) return value;
    }
    return "none";
  }
  static std::string Told(const GateAnswer& answer, const std::string& name) {
    return Of(answer.client_headers, name);
  }
  static std::string Upstream(const GateAnswer& answer, const std::string& name) {
    return Of(answer.upstream_headers, name);
  }
  PlayedPolicy& policy() { return *source_.policy; }

  PlayedEdge edge_;
  PlayedPolicySource source_;
  Gate gate_{edge_.validator(), &source_, edge_.random()};
};

TEST_F(GateTest, WhoIsAdmittedGoesUpstreamWithAName) {
  const std::string token = edge_.Mint([](Grant* grant) {
    grant->add_scopes("items:read");
    grant->mutable_expire_time()->set_seconds(2'000'086'400);
  });
  for (int i = 0; i < 2; ++i) {  // by asking, then from memory
    const GateAnswer answer = Ask(token);
    EXPECT_TRUE(answer.passes);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.verdict, VERDICT_ADMIT);
    EXPECT_EQ(answer.reason, "");
    EXPECT_EQ(answer.body, "");
    EXPECT_EQ(Upstream(answer, "x-workspace"), "acme");
    EXPECT_EQ(Upstream(answer, "x-token"), token.substr(4, 16));
    EXPECT_EQ(Upstream(answer, "x-owner"), "team-a");
    EXPECT_EQ(Upstream(answer, "x-scopes"), "deploy:write items:read");
    EXPECT_EQ(Upstream(answer, "x-expires"), "2033-05-19T03:33:20Z");
    EXPECT_EQ(answer.drop_headers, std::vector<std::string>{"authorization"});
    EXPECT_EQ(answer.identity.workspace(), "acme");
    EXPECT_EQ(answer.identity.owner(), "team-a");
    EXPECT_EQ(answer.decided_by, "route 1 (line 7)");
    EXPECT_EQ(Told(answer, "Cache-Control"), "no-store");
    EXPECT_EQ(Told(answer, "Tollgate-Token-Expires"), "none");
    EXPECT_EQ(Told(answer, "WWW-Authenticate"), "none");
  }
  EXPECT_EQ(edge_.questions(), 1);
}

TEST_F(GateTest, AnAnnotationGoesUpstreamByTheNameThatThePolicyGives) {
  policy().upstream_.annotation_headers = {{"team", "x-team"}, {"plan", "x-plan"}};
  const std::string token = edge_.Mint([](Grant* grant) {
    (*grant->mutable_annotations())["team"] = "a, b\xc3\xa9";
    (*grant->mutable_annotations())["other"] = "stays here";
  });
  const GateAnswer answer = Ask(token);
  EXPECT_EQ(Upstream(answer, "x-team"), "a%2C%20b%C3%A9");
  EXPECT_EQ(Upstream(answer, "x-plan"), "") << "set all the same, over what the client sent";
  EXPECT_EQ(answer.upstream_headers.size(), 7u);
  EXPECT_EQ(answer.identity.annotations().at("other"), "stays here");
}

TEST_F(GateTest, WhoPassesWithoutATokenGoesUpstreamWithEmptyNames) {
  policy().judge_ = [](const policy::Request&, policy::Judgement* judgement) {
    judgement->kind = policy::Judgement::Kind::kOpen;
    judgement->drop_headers = {"x-owner", "x-other"};
  };
  const GateAnswer open = Ask(edge_.Mint());
  policy().judge_ = [](const policy::Request&, policy::Judgement* judgement) {
    judgement->optional = true;
    judgement->drop_headers = {"x-owner", "x-other"};
  };
  const GateAnswer optional = Ask("");
  for (const GateAnswer& answer : {open, optional}) {
    EXPECT_TRUE(answer.passes);
    EXPECT_EQ(answer.verdict, VERDICT_ADMIT);
    ASSERT_EQ(answer.upstream_headers.size(), 5u);
    for (const auto& [name, value] : answer.upstream_headers) EXPECT_EQ(value, "") << name;
    // One that is set is not dropped as well: a proxy may drop last.
    EXPECT_EQ(answer.drop_headers, std::vector<std::string>{"x-other"});
    EXPECT_FALSE(answer.identity.has_expire_time());
    EXPECT_EQ(answer.identity.token(), "");
  }
  EXPECT_EQ(edge_.questions(), 0) << "a token that nobody needs is not looked at";
}

TEST_F(GateTest, WhatIsOptionalIsGoodOrRefused) {
  policy().judge_ = [](const policy::Request&, policy::Judgement* judgement) {
    judgement->optional = true;
  };
  EXPECT_TRUE(Ask(edge_.Mint()).passes);
  EXPECT_EQ(Ask("tgw_no").status, 401);
}

TEST_F(GateTest, ARefusalSaysWhyInTheFieldsTerms) {
  policy().words_.resource_metadata = "https://api.example/meta";
  policy().judge_ = [](const policy::Request&, policy::Judgement* judgement) {
    judgement->requirement.any_scopes = {"admin"};
  };
  const GateAnswer answer = Ask(edge_.Mint());
  EXPECT_FALSE(answer.passes);
  EXPECT_EQ(answer.status, 403);
  EXPECT_EQ(answer.verdict, VERDICT_DENY);
  EXPECT_EQ(answer.reason, "INSUFFICIENT_SCOPE");
  EXPECT_EQ(
      Told(answer, "WWW-Authenticate"),
      "Bearer realm=\"acme\", error=\"insufficient_scope\", error_description=\"a needed scope "
      "is missing\", scope=\"admin\", resource_metadata=\"https://api.example/meta\"");
  EXPECT_EQ(Told(answer, "Cache-Control"), "no-store");
  EXPECT_EQ(answer.identity.owner(), "team-a");
  EXPECT_TRUE(answer.upstream_headers.empty());
  const nlohmann::json problem = nlohmann::json::parse(answer.body);
  EXPECT_EQ(problem["type"], "about:blank");
  EXPECT_EQ(problem["title"], "Forbidden");
  EXPECT_EQ(problem["status"], 403);
  EXPECT_EQ(problem["detail"], "a needed scope is missing");
  EXPECT_EQ(problem["reason"], "INSUFFICIENT_SCOPE");
  EXPECT_EQ(problem["decision"], Told(answer, "Tollgate-Decision"));
}

TEST_F(GateTest, NoTokenIsNoFault) {
  const GateAnswer answer = Ask("");
  EXPECT_EQ(answer.status, 401);
  EXPECT_EQ(answer.reason, "NO_TOKEN");
  EXPECT_EQ(Told(answer, "WWW-Authenticate"), "Bearer realm=\"acme\"");
}

TEST_F(GateTest, FromWhereARefusedTokenCameGoesWithTheAttempt) {
  const std::string token = edge_.Mint([](Grant* grant) {
    grant->set_state(tollgate::v1::TOKEN_STATE_REVOKED);
    grant->set_report_attempt_addresses(true);
  });
  for (const char* from : {"192.0.2.1", "192.0.2.2"}) {  // by asking, then from memory
    policy().judge_ = [from](const policy::Request&, policy::Judgement* judgement) {
      judgement->client = base::IpAddress::FromText(from);
    };
    EXPECT_FALSE(Ask(token).passes);
  }
  edge_.validator()->StopAdmitting();
  std::vector<std::string> told;
  for (const auto& message : edge_.validator()->Goodbye().send) {
    for (const auto& attempts : message.usage().attempts()) {
      for (const auto& address : attempts.addresses()) told.push_back(address.address());
    }
  }
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told, (std::vector<std::string>{"192.0.2.1", "192.0.2.2"}));
}

TEST_F(GateTest, ARevokedTokenIsRefusedOnTheNextRequest) {
  const std::string token = edge_.Mint();
  ASSERT_TRUE(Ask(token).passes);
  edge_.Revoke(token);
  const GateAnswer answer = Ask(token);
  EXPECT_EQ(answer.status, 401);
  EXPECT_EQ(answer.reason, "REVOKED");
  EXPECT_EQ(answer.identity.token(), "") << "a stranger learns nothing";
}

TEST_F(GateTest, WithoutALeaseNobodyIsAccused) {
  PlayedEdge stale(/*live=*/false);
  Gate gate(stale.validator(), &source_, stale.random());
  const std::string token = absl::StrCat("Bearer ", stale.Mint());
  const policy::Header header = {"Authorization", token};
  policy::Request request;
  request.headers = absl::MakeConstSpan(&header, 1);
  GateAnswer answer;
  gate.Ask(request, [&answer](const GateAnswer& given) { answer = given; });
  EXPECT_FALSE(answer.passes);
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.verdict, VERDICT_UNAVAILABLE);
  EXPECT_EQ(answer.reason, "NO_LEASE");
  EXPECT_EQ(Told(answer, "Retry-After"), "2") << "1.5 s, rounded up";
  EXPECT_EQ(Told(answer, "WWW-Authenticate"), "none");
  EXPECT_EQ(Told(answer, "Cache-Control"), "no-store");
}

TEST_F(GateTest, WhatNoEdgeMayAdmitIsNotEvenLookedUp) {
  for (const token::TokenKind kind : {token::TokenKind::kOperator, token::TokenKind::kRefresh}) {
    const GateAnswer answer = Ask(edge_.Mint(nullptr, kind));
    EXPECT_EQ(answer.status, 401);
    EXPECT_EQ(answer.reason, "MALFORMED");
  }
  EXPECT_EQ(Ask(std::string(100'000, 'a')).reason, "MALFORMED");
  EXPECT_EQ(edge_.questions(), 0);
}

TEST_F(GateTest, WhatThePolicyRefusesIsNotAskedAbout) {
  policy().judge_ = [](const policy::Request&, policy::Judgement* judgement) {
    judgement->kind = policy::Judgement::Kind::kRefused;
    judgement->status = 404;
    judgement->reason = "NO_ROUTE";
    judgement->description = "nothing is here";
  };
  const GateAnswer answer = Ask(edge_.Mint());
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.verdict, VERDICT_UNSPECIFIED);
  EXPECT_EQ(answer.reason, "NO_ROUTE");
  EXPECT_EQ(Told(answer, "Cache-Control"), "no-store");
  EXPECT_EQ(edge_.questions(), 0);
}

TEST_F(GateTest, NoBytesOfANameReachAHeaderAsTheyAre) {
  const std::string token = edge_.Mint([](Grant* grant) {
    grant->set_owner(std::string("a\r\nX: \0\xff%,;\"\\b", 14));
    grant->clear_scopes();
    grant->add_scopes("a b");
    grant->add_scopes("c\nd");
  });
  const GateAnswer answer = Ask(token);
  EXPECT_EQ(Upstream(answer, "x-owner"), "a%0D%0AX:%20%00%FF%25%2C%3B%22%5Cb");
  EXPECT_EQ(Upstream(answer, "x-scopes"), "a%20b c%0Ad");
}

TEST_F(GateTest, ABodyIsShortAndTextWhateverTheWords) {
  policy().judge_ = [](const policy::Request&, policy::Judgement* judgement) {
    static const std::string words(5000, '\x01');
    judgement->kind = policy::Judgement::Kind::kRefused;
    judgement->reason = "PATH_AMBIGUOUS";
    judgement->description = "caf\xe9 \"\\\r\n";
    if (judgement->credential.empty()) judgement->description = words;
  };
  const GateAnswer bad_text = Ask(edge_.Mint());
  EXPECT_EQ(nlohmann::json::parse(bad_text.body)["reason"], "PATH_AMBIGUOUS");
  EXPECT_EQ(bad_text.body.find('\n'), bad_text.body.size() - 1);
  for (const auto& [name, value] : bad_text.client_headers) {
    EXPECT_FALSE(absl::StrContains(value, "\r") || absl::StrContains(value, "\n")) << name;
  }
  EXPECT_LT(Ask("").body.size(), 1024u);
}

TEST_F(GateTest, AnIdIsNeverGivenTwice) {
  const std::string token = edge_.Mint();
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) {
    for (const std::string& one : {token, std::string()}) {
      const std::string id = Told(Ask(one), "Tollgate-Decision");
      EXPECT_EQ(id.size(), 32u);
      EXPECT_TRUE(ids.insert(id).second);
    }
  }
  // Nor by another process.
  AnswerIds others(edge_.random());
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(ids.insert(others.Next()).second);
}

TEST_F(GateTest, ATokenNearItsEndIsToldSo) {
  const auto with_end = [this](int64_t seconds_from_now) {
    return edge_.Mint([=](Grant* grant) {
      grant->mutable_expire_time()->set_seconds(PlayedEdge::kServiceSeconds + seconds_from_now);
    });
  };
  const std::string near = with_end(3000);
  EXPECT_EQ(Told(Ask(near), "Tollgate-Token-Expires"), "none") << "the policy does not want it";
  policy().upstream_.tell_before_expiry = absl::Hours(1);
  EXPECT_EQ(Told(Ask(near), "Tollgate-Token-Expires"), "2033-05-18T04:23:20Z");
  EXPECT_EQ(Told(Ask(near), "Sunset"), "Wed, 18 May 2033 04:23:20 GMT");
  EXPECT_EQ(Told(Ask(with_end(3700)), "Tollgate-Token-Expires"), "none");
  EXPECT_EQ(Told(Ask(edge_.Mint()), "Sunset"), "none");
}

TEST_F(GateTest, ATokenThatRetiresIsToldSo) {
  policy().upstream_.tell_before_expiry = absl::Hours(1);
  const auto retiring = [this](int64_t in_seconds) {
    return edge_.Mint([=](Grant* grant) {
      grant->set_state(TOKEN_STATE_RETIRING);
      grant->mutable_expire_time()->set_seconds(PlayedEdge::kServiceSeconds + 900'000);
      if (in_seconds == 0) return grant->clear_expire_time();
      grant->mutable_retire_time()->set_seconds(PlayedEdge::kServiceSeconds + in_seconds);
    });
  };
  const GateAnswer planned = Ask(retiring(86'400));
  EXPECT_TRUE(planned.passes);
  EXPECT_EQ(Told(planned, "Tollgate-Token-Expires"), "2033-05-19T03:33:20Z");
  EXPECT_EQ(Told(planned, "Sunset"), "Thu, 19 May 2033 03:33:20 GMT");
  const GateAnswer when_silent = Ask(retiring(0));
  EXPECT_EQ(Told(when_silent, "Tollgate-Token-Expires"), "retiring");
  EXPECT_EQ(Told(when_silent, "Sunset"), "none");
}

TEST_F(GateTest, ThePolicyOfTheRequestAnswersIt) {
  const std::string bearer = absl::StrCat("Bearer ", edge_.Mint());
  const policy::Header header = {"Authorization", bearer};
  policy::Request request;
  request.headers = absl::MakeConstSpan(&header, 1);
  edge_.Hold();
  GateAnswer answer;
  gate_.Ask(request, [&answer](const GateAnswer& given) { answer = given; });
  EXPECT_FALSE(answer.passes);
  source_.policy = std::make_shared<PlayedPolicy>();  // a reload, while the service is asked
  source_.policy->upstream_ = {};
  edge_.AnswerAll();
  EXPECT_TRUE(answer.passes);
  EXPECT_EQ(Upstream(answer, "x-owner"), "team-a");
}

TEST_F(GateTest, AnswersAreCountedByWhatWasDecided) {
  FrontCounts counts;
  CountAnswer(Ask(edge_.Mint()), &counts);
  CountAnswer(Ask(""), &counts);
  const GateAnswer rejected = gate_.Reject(500, "PROXY_MISCONFIGURED", "no path");
  CountAnswer(rejected, &counts);
  EXPECT_EQ(counts.Totals().admitted, 1);
  EXPECT_EQ(counts.Totals().denied, 1);
  EXPECT_EQ(counts.Totals().refused, 1);
  EXPECT_EQ(rejected.status, 500);
  EXPECT_FALSE(rejected.passes);
  EXPECT_NE(Told(rejected, "Tollgate-Decision"), "none");
  EXPECT_EQ(gate_.Reject(200, "NOT_SO", "a refusal admits nothing").status, 400);
}

}  // namespace
}  // namespace tollgate::validator
