#include "validator/core/resolver.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/validator/core/edge_fixture.h"

namespace tollgate::validator {
namespace {

using Joined = Resolver::Joined;
using tollgate::v1::ResolveResponse;

const char kId[] = "0123456789abcdef";

TokenKey KeyFor(uint64_t n, const std::string& id = kId) {
  TokenKey key;
  key.hash[0] = n;
  key.hash[1] = n + 1;
  key.id_tag = n;
  id.copy(key.public_id, token::kPublicIdLength);
  return key;
}

ResolveResponse Answer(int64_t revision, const std::string& epoch = "e1") {
  ResolveResponse r;
  r.set_epoch(epoch);
  r.set_revision(revision);
  *r.mutable_grant() = GrantFor("w", kId);  // created at (3, 1), owner team-a
  return r;
}

ResolveResponse Unknown(int64_t revision) {
  ResolveResponse r;
  r.set_epoch("e1");
  r.set_revision(revision);
  r.set_unknown(true);
  return r;
}

class ResolverTest : public ::testing::Test {
 protected:
  ResolverTest() : resolver_(ResolverOptions{"edge-1", 4, 8, 3}) {}
  Joined Join(const TokenKey& key, int64_t applied = 10) {
    Resolver::Waiter waiter;
    return resolver_.Join(key, token::EdgeDigest::Of("x"), {"e1", "", applied}, waiter, &question_);
  }
  Resolver::Outcome Got(const absl::StatusOr<ResolveResponse>& answer, int64_t applied = 10) {
    return resolver_.OnAnswer(question_.id, answer, {"e1", "", applied});
  }

  Resolver resolver_;
  Resolver::Question question_;
};

TEST_F(ResolverTest, TheQuestionCarriesWhereItWasAsked) {
  ASSERT_EQ(Join(KeyFor(1)), Joined::kAsk);
  EXPECT_EQ(question_.request.epoch(), "e1");
  EXPECT_EQ(question_.request.applied_revision(), 10);
  EXPECT_EQ(question_.request.validator_id(), "edge-1");
  EXPECT_EQ(question_.request.edge_digest(), token::EdgeDigest::Of("x").bytes());
}

TEST_F(ResolverTest, OneFlightAString) {
  ASSERT_EQ(Join(KeyFor(1)), Joined::kAsk);
  ASSERT_EQ(Join(KeyFor(1)), Joined::kWaits);
  ASSERT_EQ(Join(KeyFor(1)), Joined::kWaits);
  EXPECT_EQ(resolver_.in_flight(), 1u);
  const auto outcome = Got(Answer(10));
  EXPECT_TRUE(outcome.usable);
  EXPECT_EQ(outcome.waiters.size(), 3u);
  EXPECT_EQ(resolver_.in_flight(), 0u);
  EXPECT_EQ(resolver_.waiting(), 0u);
  EXPECT_TRUE(Got(Answer(10)).waiters.empty());  // an answer twice
}

TEST_F(ResolverTest, BothBoundsHold) {
  for (uint64_t i = 0; i < 4; ++i) ASSERT_EQ(Join(KeyFor(10 * i)), Joined::kAsk);
  EXPECT_EQ(Join(KeyFor(100)), Joined::kOverloaded);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Join(KeyFor(10)), Joined::kWaits);
  EXPECT_EQ(Join(KeyFor(10)), Joined::kOverloaded);
}

// R12, each way to be overtaken by itself: what happened since the question, the answer, usable?
struct OvertakenCase {
  const char* name;
  void (*since)(Resolver&);
  ResolveResponse answer;
  bool usable;
};

class OvertakenTest : public ::testing::TestWithParam<OvertakenCase> {};

TEST_P(OvertakenTest, IsKeptOnlyWhenNothingOvertookIt) {
  Resolver resolver(ResolverOptions{"edge-1", 4, 8, 3});
  Resolver::Waiter waiter;
  Resolver::Question q;
  ASSERT_EQ(resolver.Join(KeyFor(1), token::EdgeDigest::Of("x"), {"e1", "", 10}, waiter, &q),
            Joined::kAsk);
  GetParam().since(resolver);
  auto outcome = resolver.OnAnswer(q.id, GetParam().answer, {"e1", "", 12});
  EXPECT_EQ(outcome.usable, GetParam().usable);
  if (GetParam().usable) return;
  // Asked again, from what is applied now; the waiter is not answered meanwhile.
  ASSERT_TRUE(outcome.ask.has_value());
  EXPECT_TRUE(outcome.waiters.empty());
  EXPECT_EQ(outcome.ask->request.applied_revision(), 12);
  outcome = resolver.OnAnswer(outcome.ask->id, Answer(12), {"e1", "", 12});
  EXPECT_TRUE(outcome.usable);
  EXPECT_EQ(outcome.waiters.size(), 1u);
  EXPECT_EQ(resolver.overtaken(), 1);
}

INSTANTIATE_TEST_SUITE_P(
    R12, OvertakenTest,
    ::testing::Values(
        OvertakenCase{"Nothing", [](Resolver&) {}, Answer(10), true},
        OvertakenCase{"Newer", [](Resolver&) {}, Answer(11), true},
        OvertakenCase{"OlderThanAsked", [](Resolver&) {}, Answer(9), false},
        OvertakenCase{"UnknownOlderThanAsked", [](Resolver&) {}, Unknown(9), false},
        OvertakenCase{"OtherEpoch", [](Resolver&) {}, Answer(99, "e0"), false},
        OvertakenCase{"TokenEvent", [](Resolver& r) { r.OnTokenEvent(kId, 12); }, Answer(11),
                      false},
        OvertakenCase{"TokenEventSeen", [](Resolver& r) { r.OnTokenEvent(kId, 12); }, Answer(12),
                      true},
        OvertakenCase{"CreatedAfterUnknown", [](Resolver& r) { r.OnTokenEvent(kId, 12); },
                      Unknown(11), false},
        OvertakenCase{"OtherTokensEvent",
                      [](Resolver& r) { r.OnTokenEvent("fedcba9876543210", 12); }, Answer(11),
                      true},
        OvertakenCase{"TwoEventsHigherFirst",
                      [](Resolver& r) {
                        r.OnTokenEvent(kId, 12);
                        r.OnTokenEvent(kId, 11);
                      },
                      Answer(11), false},
        OvertakenCase{"WorkspaceCohort", [](Resolver& r) { r.OnCohort({"w", "", 12, 0}); },
                      Answer(11), false},
        OvertakenCase{"WorkspaceCohortSeen", [](Resolver& r) { r.OnCohort({"w", "", 12, 0}); },
                      Answer(12), true},
        OvertakenCase{"OwnerCohort", [](Resolver& r) { r.OnCohort({"w", "team-a", 12, 0}); },
                      Answer(11), false},
        OvertakenCase{"OtherOwnersCohort", [](Resolver& r) { r.OnCohort({"w", "team-b", 12, 0}); },
                      Answer(11), true},
        OvertakenCase{"OtherWorkspacesCohort", [](Resolver& r) { r.OnCohort({"v", "", 12, 0}); },
                      Answer(11), true},
        OvertakenCase{"CohortAndUnknown", [](Resolver& r) { r.OnCohort({"w", "", 12, 0}); },
                      Unknown(11), true},
        OvertakenCase{"Reset", [](Resolver& r) { r.OnReset(12); }, Answer(11), false},
        OvertakenCase{"ResetSeen", [](Resolver& r) { r.OnReset(12); }, Answer(12), true},
        OvertakenCase{"MoreCohortsThanAreKept",
                      [](Resolver& r) {
                        for (int i = 0; i < 17; ++i) r.OnCohort({"v", "", 12, 0});
                      },
                      Answer(11), false}),
    [](const auto& info) { return info.param.name; });

TEST_F(ResolverTest, CohortsAreComparedByPlaceOfCreation) {  // R13
  for (const auto& [index, usable] : {std::pair<uint32_t, bool>{1, true}, {2, false}}) {
    ASSERT_EQ(Join(KeyFor(1)), Joined::kAsk);
    resolver_.OnCohort({"w", "", 12, index});
    ResolveResponse answer = Answer(11);
    answer.mutable_grant()->set_create_revision(12);
    answer.mutable_grant()->set_create_index(1);
    EXPECT_EQ(Got(answer).usable, usable) << index;
    Got(absl::UnavailableError(""));
  }
}

TEST_F(ResolverTest, AnEpochThatChangedMeanwhileIsAskedInAgain) {
  ASSERT_EQ(Join(KeyFor(1)), Joined::kAsk);
  resolver_.OnReset(5);
  // The follower is in e2 now; the answer, from either epoch, was to a question in e1.
  ASSERT_TRUE(resolver_.OnAnswer(question_.id, Answer(10), {"e2", "", 5}).ask.has_value());
  EXPECT_TRUE(resolver_.OnAnswer(question_.id, Answer(10), {"e2", "", 5}).ask.has_value());
  Got(absl::UnavailableError(""));
  ASSERT_EQ(Join(KeyFor(1)), Joined::kAsk);
  resolver_.OnReset(5);
  const auto outcome = resolver_.OnAnswer(question_.id, Answer(10, "e2"), {"e2", "", 5});
  ASSERT_TRUE(outcome.ask.has_value());
  EXPECT_EQ(outcome.ask->request.epoch(), "e2");
  EXPECT_EQ(outcome.ask->request.applied_revision(), 5);
  EXPECT_TRUE(resolver_.OnAnswer(question_.id, Answer(5, "e2"), {"e2", "", 5}).usable);
}

// A fork of the store answers over the other connection, in the same epoch and at a revision that
// is high enough (R19).
TEST_F(ResolverTest, R19AnAnswerOfAnotherTermIsNotUsedNotEvenOnce) {
  Resolver::Waiter waiter;
  const FollowedPoint at{"e1", "t1", 10};
  ASSERT_EQ(resolver_.Join(KeyFor(1), token::EdgeDigest::Of("x"), at, waiter, &question_),
            Joined::kAsk);
  ResolveResponse answer = Answer(10);
  for (const char* term : {"t2", ""}) {
    answer.set_term(term);
    const auto outcome = resolver_.OnAnswer(question_.id, answer, at);
    EXPECT_FALSE(outcome.usable) << term;
    EXPECT_TRUE(outcome.ask.has_value()) << term;
  }
  answer.set_term("t1");
  // The service was started again, and the stream has come back to it: its old answer is of no use.
  EXPECT_FALSE(resolver_.OnAnswer(question_.id, answer, {"e1", "t2", 10}).usable);
  ASSERT_EQ(resolver_.Join(KeyFor(1), token::EdgeDigest::Of("x"), at, waiter, &question_),
            Joined::kAsk);
  EXPECT_TRUE(resolver_.OnAnswer(question_.id, answer, at).usable);
}

TEST_F(ResolverTest, WithoutAStreamAQuestionOfAnotherTermWaitsForOneAndIsAskedAnew) {
  Resolver::Waiter waiter;
  const FollowedPoint away{"e1", "t1", 10, /*following=*/false};
  const auto at = [](int64_t seconds) { return base::BootTime() + absl::Seconds(seconds); };
  ASSERT_EQ(resolver_.Join(KeyFor(1), token::EdgeDigest::Of("x"), away, waiter, &question_),
            Joined::kAsk);
  ResolveResponse answer = Answer(12);
  answer.set_term("t2");
  auto outcome = resolver_.OnAnswer(question_.id, answer, away);
  EXPECT_TRUE(outcome.wait);
  EXPECT_FALSE(outcome.usable || outcome.ask.has_value());
  EXPECT_TRUE(outcome.waiters.empty());
  resolver_.WaitForStream(question_.id, at(2));
  EXPECT_EQ(resolver_.let_go_at(), at(2));
  // Whoever wants the same meanwhile waits too.
  ASSERT_EQ(resolver_.Join(KeyFor(1), token::EdgeDigest::Of("x"), away, waiter, &question_),
            Joined::kWaits);
  EXPECT_TRUE(resolver_.LetGo(at(1)).empty());
  // R12: asked where the follower stands now; the answer of before is forgotten.
  const FollowedPoint back{"e1", "t2", 11};
  const std::vector<Resolver::Question> again = resolver_.AskAgain(back);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].request.applied_revision(), 11);
  EXPECT_TRUE(resolver_.AskAgain(back).empty());
  EXPECT_EQ(resolver_.let_go_at(), base::BootTime::InfiniteFuture());
  answer.set_revision(10);
  EXPECT_FALSE(resolver_.OnAnswer(again[0].id, answer, back).usable) << "below its need";
}

TEST_F(ResolverTest, AQuestionWaitsForAStreamOnceAndNoLongerThanItMay) {
  Resolver::Waiter waiter;
  const FollowedPoint away{"e1", "t1", 10, /*following=*/false};
  ResolveResponse answer = Answer(12);
  answer.set_term("t2");
  ASSERT_EQ(resolver_.Join(KeyFor(1), token::EdgeDigest::Of("x"), away, waiter, &question_),
            Joined::kAsk);
  ASSERT_TRUE(resolver_.OnAnswer(question_.id, answer, away).wait);
  resolver_.WaitForStream(question_.id, base::BootTime());
  EXPECT_EQ(resolver_.LetGo(base::BootTime()).size(), 1u);
  EXPECT_EQ(resolver_.in_flight(), 0u);
  EXPECT_EQ(resolver_.waiting(), 0u);
  // Asked anew, and answered by yet another term: the attempts are used up.
  ASSERT_EQ(resolver_.Join(KeyFor(1), token::EdgeDigest::Of("x"), away, waiter, &question_),
            Joined::kAsk);
  ASSERT_TRUE(resolver_.OnAnswer(question_.id, answer, away).wait);
  resolver_.WaitForStream(question_.id, base::BootTime());
  ASSERT_EQ(resolver_.AskAgain({"e1", "t2", 10}).size(), 1u);
  answer.set_term("t3");
  const auto outcome = resolver_.OnAnswer(question_.id, answer, {"e1", "t2", 10, false});
  EXPECT_FALSE(outcome.wait || outcome.ask.has_value() || outcome.usable);
  EXPECT_EQ(outcome.waiters.size(), 1u);
}

TEST_F(ResolverTest, WithoutAnEpochNothingIsAskedAgain) {
  ASSERT_EQ(Join(KeyFor(1)), Joined::kAsk);
  const auto outcome = resolver_.OnAnswer(question_.id, Answer(10), {"", "", 0});
  EXPECT_FALSE(outcome.usable);
  EXPECT_FALSE(outcome.ask.has_value());
  EXPECT_EQ(outcome.waiters.size(), 1u);
}

TEST_F(ResolverTest, OvertakenTooOftenIsUnavailable) {
  ASSERT_EQ(Join(KeyFor(1)), Joined::kAsk);
  EXPECT_TRUE(Got(Answer(9)).ask.has_value());
  EXPECT_TRUE(Got(Answer(9)).ask.has_value());
  const auto outcome = Got(Answer(9));
  EXPECT_FALSE(outcome.ask.has_value());
  EXPECT_FALSE(outcome.usable);
  EXPECT_EQ(outcome.reason, tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE);
  EXPECT_EQ(outcome.waiters.size(), 1u);
}

TEST_F(ResolverTest, WhateverIsNoProofIsUnavailable) {  // I7
  std::vector<absl::StatusOr<ResolveResponse>> answers;
  answers.push_back(absl::UnavailableError("gone"));
  answers.push_back(absl::NotFoundError("a proxy's 404"));
  answers.push_back(ResolveResponse());
  ResolveResponse empty = Answer(10);
  empty.clear_result();
  answers.push_back(empty);
  ResolveResponse other = Answer(10);
  other.mutable_grant()->set_token_id("fedcba9876543210");  // no event would find it
  answers.push_back(other);
  ResolveResponse stateless = Answer(10);
  stateless.mutable_grant()->set_state(tollgate::v1::TOKEN_STATE_UNSPECIFIED);
  answers.push_back(stateless);
  ResolveResponse newer = Answer(10);
  newer.mutable_grant()->set_state(static_cast<tollgate::v1::TokenState>(99));
  answers.push_back(newer);
  for (const auto& answer : answers) {
    ASSERT_EQ(Join(KeyFor(1)), Joined::kAsk);
    const auto outcome = Got(answer);
    EXPECT_FALSE(outcome.usable);
    EXPECT_EQ(outcome.waiters.size(), 1u);
    EXPECT_EQ(outcome.reason, tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE);
  }
  ASSERT_EQ(Join(KeyFor(1)), Joined::kAsk);
  EXPECT_EQ(Got(absl::ResourceExhaustedError("")).reason, tollgate::v1::VERDICT_REASON_OVERLOADED);
}

}  // namespace
}  // namespace tollgate::validator
