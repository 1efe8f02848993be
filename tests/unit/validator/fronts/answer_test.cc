#include "validator/fronts/answer.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace tollgate::validator {
namespace {

using namespace tollgate::v1;  // NOLINT: the enumerators are long

struct ReasonCase {
  VerdictReason reason;
  Verdict verdict;
  int status;
  const char* error;
  const char* challenge;  // without a realm; needed: scope "deploy:write"
};

class AnswerTest : public ::testing::TestWithParam<ReasonCase> {};

TEST_P(AnswerTest, SaysWhatRfc6750Says) {
  const ReasonCase& c = GetParam();
  const Answer answer = AnswerTo(c.reason, absl::Seconds(7), {{}, {"deploy:write"}, ""}, {});
  EXPECT_EQ(answer.status, c.status);
  EXPECT_EQ(answer.error, c.error);
  EXPECT_EQ(answer.challenge, c.challenge);
  EXPECT_EQ(answer.retry_after, c.status == 503 ? absl::Seconds(7) : absl::ZeroDuration());
  EXPECT_EQ(answer.description.empty(), c.status == 200);
  EXPECT_EQ(VerdictOf(c.reason), c.verdict);
}

constexpr char kUnknownToken[] = "Bearer error=\"invalid_token\", error_description=\"unknown\"";

INSTANTIATE_TEST_SUITE_P(
    I7, AnswerTest,
    ::testing::Values(
        ReasonCase{VERDICT_REASON_UNSPECIFIED, VERDICT_ADMIT, 200, "", ""},
        // No credentials: no code, and nothing but the scheme.
        ReasonCase{VERDICT_REASON_NO_TOKEN, VERDICT_DENY, 401, "", "Bearer"},
        // Proof, each of them.
        ReasonCase{VERDICT_REASON_MALFORMED, VERDICT_DENY, 401, "invalid_token",
                   "Bearer error=\"invalid_token\", error_description=\"malformed\""},
        ReasonCase{VERDICT_REASON_UNKNOWN, VERDICT_DENY, 401, "invalid_token", kUnknownToken},
        ReasonCase{VERDICT_REASON_REVOKED, VERDICT_DENY, 401, "invalid_token",
                   "Bearer error=\"invalid_token\", error_description=\"revoked\""},
        ReasonCase{VERDICT_REASON_EXPIRED, VERDICT_DENY, 401, "invalid_token",
                   "Bearer error=\"invalid_token\", error_description=\"expired\""},
        ReasonCase{VERDICT_REASON_SUSPENDED, VERDICT_DENY, 401, "invalid_token",
                   "Bearer error=\"invalid_token\", error_description=\"suspended\""},
        // The token is good.
        ReasonCase{VERDICT_REASON_INSUFFICIENT_SCOPE, VERDICT_DENY, 403, "insufficient_scope",
                   "Bearer error=\"insufficient_scope\", error_description=\"a needed scope is "
                   "missing\", scope=\"deploy:write\""},
        ReasonCase{VERDICT_REASON_WRONG_AUDIENCE, VERDICT_DENY, 403, "", "Bearer"},
        ReasonCase{VERDICT_REASON_WRONG_WORKSPACE, VERDICT_DENY, 403, "", "Bearer"},
        // Nothing is known of it.
        ReasonCase{VERDICT_REASON_NO_LEASE, VERDICT_UNAVAILABLE, 503, "", ""},
        ReasonCase{VERDICT_REASON_SERVICE_UNAVAILABLE, VERDICT_UNAVAILABLE, 503, "", ""},
        ReasonCase{VERDICT_REASON_OVERLOADED, VERDICT_UNAVAILABLE, 503, "", ""},
        // Of a build newer than this one.
        ReasonCase{static_cast<VerdictReason>(99), VERDICT_UNAVAILABLE, 503, "", ""}),
    [](const auto& info) {
      const std::string& name = VerdictReason_Name(info.param.reason);
      return name.empty() ? std::string("Newer") : name;
    });

TEST(AnswerToTest, EveryReasonHasARow) {
  // A reason that is added is unavailable until somebody says what it means.
  for (int i = VerdictReason_MIN; i <= VerdictReason_MAX; ++i) {
    const auto reason = static_cast<VerdictReason>(i);
    if (!VerdictReason_IsValid(i) || VerdictOf(reason) != VERDICT_UNAVAILABLE) continue;
    EXPECT_TRUE(reason == VERDICT_REASON_NO_LEASE || reason == VERDICT_REASON_SERVICE_UNAVAILABLE ||
                reason == VERDICT_REASON_OVERLOADED)
        << VerdictReason_Name(reason);
  }
}

TEST(AnswerToTest, TheScopeIsWhatWouldHaveBeenEnough) {
  const auto scope_of = [](const token::Requirement& requirement) {
    const std::string challenge =
        AnswerTo(VERDICT_REASON_INSUFFICIENT_SCOPE, {}, requirement, {}).challenge;
    const size_t at = challenge.find("scope=\"");
    return at == std::string::npos ? "" : challenge.substr(at);
  };
  EXPECT_EQ(scope_of({{"a", "b"}, {"c", "d"}, ""}), "scope=\"c d a\"");
  EXPECT_EQ(scope_of({{"c", "b"}, {"c"}, ""}), "scope=\"c\"");
  EXPECT_EQ(scope_of({}), "");
  token::Requirement expression;
  expression.all_scopes = {"a"};
  expression.scope_expression = token::ScopeExpression::Parse("(b AND a) OR c").value();
  EXPECT_EQ(scope_of(expression), "scope=\"a b\"") << "of alternatives the first";
}

TEST(AnswerToTest, ARealmIsQuotedAndNothingElseCanBeWrittenThroughIt) {
  EXPECT_EQ(AnswerTo(VERDICT_REASON_NO_TOKEN, {}, {}, {"api", ""}).challenge,
            "Bearer realm=\"api\"");
  EXPECT_EQ(AnswerTo(VERDICT_REASON_NO_TOKEN, {}, {}, {"a\"b\\c\r\nX: y\x7f\xff", ""}).challenge,
            "Bearer realm=\"a\\\"b\\\\cX: y\"");
  EXPECT_EQ(AnswerTo(VERDICT_REASON_UNKNOWN, {}, {}, {"api", ""}).challenge,
            "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"unknown\"");
  EXPECT_EQ(AnswerTo(VERDICT_REASON_NO_LEASE, {}, {}, {"api", ""}).challenge, "");
}

TEST(AnswerToTest, AChallengeNamesTheResourcesMetadata) {
  const policy::Words words = {"api", "https://api.example/.well-known/oauth-protected-resource"};
  EXPECT_EQ(AnswerTo(VERDICT_REASON_NO_TOKEN, {}, {}, words).challenge,
            "Bearer realm=\"api\", "
            "resource_metadata=\"https://api.example/.well-known/oauth-protected-resource\"");
  EXPECT_EQ(
      AnswerTo(VERDICT_REASON_INSUFFICIENT_SCOPE, {}, {{}, {"a"}, ""}, words).challenge,
      "Bearer realm=\"api\", error=\"insufficient_scope\", error_description=\"a needed scope "
      "is missing\", scope=\"a\", "
      "resource_metadata=\"https://api.example/.well-known/oauth-protected-resource\"");
}

TEST(AnswerToTest, ThatAPasswordWillDoIsOfferedWhereItIsAskedFor) {
  policy::Words words = {"api", "", true};
  EXPECT_EQ(AnswerTo(VERDICT_REASON_NO_TOKEN, {}, {}, words).challenge,
            "Bearer realm=\"api\", Basic realm=\"api\"");
  EXPECT_EQ(AnswerTo(VERDICT_REASON_WRONG_AUDIENCE, {}, {}, words).challenge,
            "Bearer realm=\"api\"");
  words.realm = "";
  EXPECT_EQ(AnswerTo(VERDICT_REASON_NO_TOKEN, {}, {}, words).challenge, "Bearer, Basic realm=\"\"");
}

TEST(AnswerToTest, ReasonsAreTheEnumeratorsWithoutTheirPrefix) {
  EXPECT_EQ(AnswerTo(VERDICT_REASON_UNSPECIFIED, {}, {}, {}).reason, "");
  EXPECT_EQ(AnswerTo(VERDICT_REASON_NO_TOKEN, {}, {}, {}).reason, "NO_TOKEN");
  EXPECT_EQ(AnswerTo(VERDICT_REASON_NO_LEASE, {}, {}, {}).reason, "NO_LEASE");
  EXPECT_EQ(AnswerTo(static_cast<VerdictReason>(99), {}, {}, {}).reason, "SERVICE_UNAVAILABLE");
}

TEST(AnswerToTest, WhatThePolicyRefusesIsInvalidUnlessItSaysMore) {
  policy::Judgement judgement;
  judgement.status = 400;
  judgement.reason = "TWO_CREDENTIALS";
  judgement.description = "two tokens";
  Answer answer = AnswerToRefused(judgement, {"api", ""});
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.error, "invalid_request");
  EXPECT_EQ(answer.reason, "TWO_CREDENTIALS");
  EXPECT_EQ(answer.challenge,
            "Bearer realm=\"api\", error=\"invalid_request\", error_description=\"two tokens\"");
  for (const int status : {403, 404}) {
    judgement.status = status;
    answer = AnswerToRefused(judgement, {"api", ""});
    EXPECT_EQ(answer.status, status);
    EXPECT_EQ(answer.error, "");
    EXPECT_EQ(answer.challenge, "");
    EXPECT_EQ(answer.description, "two tokens");
  }
  for (const int status : {0, 200, 204, 302, 503}) {  // a refusal admits nothing, whatever it says
    judgement.status = status;
    EXPECT_EQ(AnswerToRefused(judgement, {}).status, 400);
  }
}

TEST(AnswerToTest, ADecisionThatWasNeverMadeAdmitsNothing) {
  EXPECT_EQ(AnswerTo(Decision(), {}, {}).status, 503);
}

TEST(AnswerToTest, ADecisionIsAnsweredByItsReason) {
  Decision decision;
  decision.reason = VERDICT_REASON_OVERLOADED;
  decision.retry_after = absl::Seconds(3);
  EXPECT_EQ(AnswerTo(decision, {}, {}).status, 503);
  EXPECT_EQ(AnswerTo(decision, {}, {}).retry_after, absl::Seconds(3));
}

}  // namespace
}  // namespace tollgate::validator
