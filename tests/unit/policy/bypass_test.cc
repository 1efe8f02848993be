// The table of known bypasses (bypasses.json), played against the policy itself. Fronts play the
// same table on every protocol.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "nlohmann/json.hpp"
#include "policy/policy.h"
#include "token/grant.h"
#include "token/token_string.h"

namespace tollgate::policy {
namespace {

using nlohmann::json;
using testing::Contains;

const json& Table() {
  static const json* const table = [] {
    std::ifstream file(TOLLGATE_SOURCE_DIR "/tests/unit/policy/bypasses.json");
    return new json(json::parse(file));
  }();
  return *table;
}

std::shared_ptr<const Policy> ThePolicy() {
  std::string text;
  for (const json& line : Table()["policy"]) absl::StrAppend(&text, line.get<std::string>(), "\n");
  return Policy::Parse(text, "bypasses.yaml").value();
}

// The attacker's token, as the service knows it.
std::string TheirGrant() {
  tollgate::v1::Grant grant;
  grant.set_workspace("acme");
  grant.set_state(tollgate::v1::TOKEN_STATE_ACTIVE);
  grant.add_scopes("items:read");
  return token::PackGrant(grant);
}

std::string Mint() {
  return std::string(token::TokenFormat()
                         .Mint(token::TokenKind::kWorkspace, base::SystemRandom())
                         .token_string.RevealSecret());
}

std::string WithTokens(const std::string& text) {
  static const auto* const token = new std::string(Mint());
  static const auto* const other = new std::string(Mint());
  return absl::StrReplaceAll(text, {{"{token}", *token}, {"{other}", *other}});
}

// One request of the table: `admit`, or the reason why not.
struct Answer {
  std::string outcome;
  std::vector<std::string> drop_headers;
};

Answer Ask(const Policy& policy, const json& sent) {
  const std::string method = sent.value("method", "GET");
  const std::string host = sent.value("host", "api.example");
  const std::string target = WithTokens(sent["target"]);
  std::vector<std::pair<std::string, std::string>> kept;
  if (sent.value("token", true)) kept.emplace_back("Authorization", WithTokens("Bearer {token}"));
  for (const json& header : sent.value("headers", json::array())) {
    kept.emplace_back(header[0], WithTokens(header[1]));
  }
  const std::vector<Header> headers(kept.begin(), kept.end());
  Request request;
  request.method = method;
  request.host = host;
  request.target = target;
  request.headers = headers;
  const Judgement judgement = policy.Judge(request);
  Answer answer;
  answer.drop_headers = judgement.drop_headers;
  if (judgement.kind == Judgement::Kind::kRefused) {
    answer.outcome = std::string(judgement.reason);
  } else if (judgement.kind == Judgement::Kind::kOpen) {
    answer.outcome = "admit";
  } else if (judgement.credential.empty()) {
    answer.outcome = judgement.optional ? "admit" : "NO_TOKEN";
  } else {
    const std::string packed = TheirGrant();
    token::GrantView grant;
    EXPECT_TRUE(token::GrantView::Over(packed, &grant));
    const tollgate::v1::VerdictReason reason =
        token::Decide(grant, judgement.requirement, absl::FromUnixSeconds(1'800'000'000));
    answer.outcome = reason == tollgate::v1::VERDICT_REASON_UNSPECIFIED
                         ? "admit"
                         : std::string(absl::StripPrefix(tollgate::v1::VerdictReason_Name(reason),
                                                         "VERDICT_REASON_"));
  }
  return answer;
}

TEST(Bypasses, NoneGetsThrough) {
  const std::shared_ptr<const Policy> policy = ThePolicy();
  int played = 0;
  int admitted = 0;
  for (const json& bypass : Table()["cases"]) {
    const std::string name = bypass["name"];
    if (bypass.contains("after")) {
      EXPECT_EQ(Ask(*policy, bypass["after"]).outcome, "admit") << name;
    }
    const Answer answer = Ask(*policy, bypass);
    EXPECT_EQ(answer.outcome, bypass["want"].get<std::string>()) << name;
    for (const json& header : bypass.value("drop", json::array())) {
      EXPECT_THAT(answer.drop_headers, Contains(header.get<std::string>())) << name;
    }
    ++played;
    admitted += answer.outcome == "admit";
  }
  EXPECT_GT(played, 100);
  EXPECT_GT(admitted, 5) << "a policy that admits nobody proves nothing";
}

// Every case is written as it must be, so that no front skips one by a misspelt key.
TEST(Bypasses, AreWrittenAlike) {
  std::vector<std::string> names;
  for (const json& bypass : Table()["cases"]) {
    for (const auto& [key, value] : bypass.items()) {
      EXPECT_THAT((std::vector<std::string>{"name", "seen_in", "method", "host", "target", "token",
                                            "headers", "want", "after", "drop", "only_raw"}),
                  Contains(key));
    }
    names.push_back(bypass["name"]);
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

}  // namespace
}  // namespace tollgate::policy
