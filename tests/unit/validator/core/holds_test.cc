// What stays open, through the validator that moves its events, questions and time.
#include "validator/core/holds.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/core/holds_fixture.h"

namespace tollgate::validator {
namespace {

using namespace tollgate::v1;  // NOLINT: the enumerators are long
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST_F(HoldsTest, FirstTheVerdictThenForHowLongItIsGood) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  EXPECT_EQ(wakes_, 1);
  const Told told = Read();
  EXPECT_THAT(told.opened, ElementsAre(std::pair(1u, VERDICT_REASON_UNSPECIFIED)));
  // The lease, less drift at the edge, less drift at the holder.
  EXPECT_EQ(told.good_for.at(1), absl::Seconds(30) * 0.999 * 0.999);
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Renew(), (absl::Seconds(30) * 0.999 - absl::Seconds(10)) * 0.999);
  EXPECT_EQ(Totals().open, 1);
}

TEST_F(HoldsTest, ARefusedOneIsNoHold) {
  MakeLive();
  grants_.erase("a");
  Token("a");
  grants_["a"].set_state(TOKEN_STATE_REVOKED);
  ASSERT_TRUE(Open(1, Token("a")).ok());
  token::Requirement other;
  other.all_scopes = {"deploy:read"};
  ASSERT_TRUE(Open(2, Token("b"), other).ok());
  ASSERT_TRUE(Open(3, "no token").ok());
  EXPECT_THAT(Read().opened, ElementsAre(std::pair(1u, VERDICT_REASON_REVOKED),
                                         std::pair(2u, VERDICT_REASON_INSUFFICIENT_SCOPE),
                                         std::pair(3u, VERDICT_REASON_MALFORMED)));
  EXPECT_EQ(Totals().open, 0);
  Event(Changed("acme", ids_["a"]));
  EXPECT_THAT(Read().order, IsEmpty());
}

TEST_F(HoldsTest, ARevocationEndsTheHoldsOfThatTokenAndNoOtherOnceTheServiceHasSaidSo) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  ASSERT_TRUE(Open(2, Token("b")).ok());
  ASSERT_TRUE(Open(3, Token("a")).ok());
  Read();
  answers_ = false;
  grants_["a"].set_state(TOKEN_STATE_REVOKED);
  Event(Changed("acme", ids_["a"]));
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_THAT(Read().order, IsEmpty());  // the event does not say what has changed
  EXPECT_EQ(Totals().in_doubt, 2);
  AnswerAll();
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_REVOKED),
                                        std::pair(3u, VERDICT_REASON_REVOKED)));
  EXPECT_EQ(Totals().open, 1);
  EXPECT_EQ(Totals().in_doubt, 0);
  EXPECT_EQ(Ended(VERDICT_REASON_REVOKED), 2);
}

TEST_F(HoldsTest, WhatTheHolderIsToldOfEndsComesBeforeForHowLongTheRestIsGood) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  ASSERT_TRUE(validator_->holds().Renew(holder_, ++renewals_).ok());
  grants_["a"].set_state(TOKEN_STATE_REVOKED);
  Event(Changed("acme", ids_["a"]));
  EXPECT_THAT(Read().order, ElementsAre("ended", "good_for"));
}

TEST_F(HoldsTest, AChangeThatTakesNothingAwayEndsNothing) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  const int64_t admitted = validator_->Totals().admitted;
  Event(Changed("acme", ids_["a"]));  // its label
  EXPECT_EQ(questions_, 2);
  EXPECT_THAT(Read().order, IsEmpty());
  EXPECT_EQ(Totals().open, 1);
  EXPECT_EQ(Totals().in_doubt, 0);
  // To ask is no decision, and no use of the token.
  EXPECT_EQ(validator_->Totals().admitted, admitted);
}

TEST_F(HoldsTest, AThousandHoldsOfATokenAreOneQuestion) {
  MakeLive();
  for (uint64_t id = 1; id <= 1000; ++id) ASSERT_TRUE(Open(id, Token("a")).ok());
  Read();
  ASSERT_EQ(questions_, 1);
  grants_["a"].set_state(TOKEN_STATE_SUSPENDED);
  wakes_ = 0;
  Event(Changed("acme", ids_["a"]));
  EXPECT_EQ(questions_, 2);
  EXPECT_EQ(wakes_, 1);
  EXPECT_EQ(Read().ended.size(), 1000u);
  EXPECT_EQ(Ended(VERDICT_REASON_SUSPENDED), 1000);
}

TEST_F(HoldsTest, TheNarrowedTokenKeepsTheHoldsThatItIsStillEnoughFor) {
  MakeLive();
  Token("a");
  grants_["a"].add_scopes("deploy:read");
  token::Requirement reads, writes, of_other;
  reads.all_scopes = {"deploy:read"};
  writes.all_scopes = {"deploy:write"};
  of_other.audience = "api.example";
  ASSERT_TRUE(Open(1, Token("a"), reads).ok());
  ASSERT_TRUE(Open(2, Token("a"), writes).ok());
  ASSERT_TRUE(Open(3, Token("a"), of_other).ok());
  Read();
  grants_["a"].clear_scopes();
  grants_["a"].add_scopes("deploy:read");
  Event(Changed("acme", ids_["a"]));
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(2u, VERDICT_REASON_INSUFFICIENT_SCOPE)));
  grants_["a"].add_audiences("api.example");  // 1 names none
  Event(Changed("acme", ids_["a"]));
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_WRONG_AUDIENCE)));
  EXPECT_EQ(Totals().open, 1);
}

TEST_F(HoldsTest, AnAnswerFromBeforeTheEventClearsNoDoubt) {  // R12
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  answers_ = false;
  Event(Changed("acme", ids_["a"]));
  ASSERT_EQ(asked_.size(), 1u);
  // The service reads the store, and a later event reaches this edge first.
  ResolveResponse old;
  old.set_epoch(epoch_);
  old.set_revision(revision_);
  *old.mutable_grant() = grants_["a"];
  grants_["a"].set_state(TOKEN_STATE_REVOKED);
  const Asked first = std::exchange(asked_, {})[0];
  Event(Changed("acme", ids_["a"]));
  first.answer(old);
  EXPECT_EQ(Totals().in_doubt, 1);
  AnswerAll();
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_REVOKED)));
}

TEST_F(HoldsTest, AnEventBetweenAnAnswersJudgementAndItsUseIsNotMissed) {
  options_.holds.most_questions = 1;
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  ASSERT_TRUE(Open(2, Token("b")).ok());
  Read();
  answers_ = false;
  Event(Changed("acme", ids_["b"]));
  Event(Changed("acme", ids_["a"]));  // waits for its turn
  bool checked = false;
  validator_->CheckAsync(Token("a"), {}, [&](const Decision& d) {
    checked = d.admitted();
    // The answer was judged for this check and for the hold together.
    grants_["a"].set_state(TOKEN_STATE_REVOKED);
    Event(Changed("acme", ids_["a"]));
  });
  ASSERT_EQ(asked_.size(), 2u);
  const std::vector<Asked> asked = std::exchange(asked_, {});
  Answer(asked[0]);  // of b: now the hold of a joins the check's question
  Answer(asked[1]);
  EXPECT_TRUE(checked);
  AnswerAll();
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_REVOKED)));
}

TEST_F(HoldsTest, AnEventBetweenTheDecisionAndTheHoldIsNotMissed) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());  // in memory from here on
  ASSERT_TRUE(validator_->holds().Close(holder_, 1).ok());
  Read();
  bool told = false;
  const absl::Status opened = validator_->OpenHold(
      holder_, 2, Token("a"), std::make_shared<const token::Requirement>(),
      [&](const Decision& d, ValidateResponse* words) {
        words->set_verdict(d.verdict);
        if (std::exchange(told, true)) return;
        grants_["a"].set_state(TOKEN_STATE_REVOKED);
        Event(Changed("acme", ids_["a"]));  // decided, and no hold is there yet
      });
  ASSERT_TRUE(opened.ok());
  const Told after = Read();
  EXPECT_THAT(after.order, ElementsAre("opened", "ended"));
  EXPECT_EQ(after.ended.at(2), VERDICT_REASON_REVOKED);
}

TEST_F(HoldsTest, UnansweredWithinAHoldsEnd) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  ASSERT_TRUE(Open(2, Token("b")).ok());
  Read();
  answers_ = false;
  Event(Changed("acme", ids_["a"]));
  int asked = 0;
  absl::Duration passed;
  while (Totals().open == 2 && passed < absl::Seconds(30)) {
    asked += static_cast<int>(asked_.size());
    FailAll();
    Pass(absl::Milliseconds(100));
    passed += absl::Milliseconds(100);
    if (passed == absl::Seconds(5)) GrantLease(30);
  }
  EXPECT_LE(passed, absl::Seconds(10));
  EXPECT_GE(passed, absl::Seconds(7));
  EXPECT_GT(asked, 20);
  EXPECT_LT(asked, 60);
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_SERVICE_UNAVAILABLE)));
  FailAll();
}

TEST_F(HoldsTest, AServiceThatIsThereAgainIsAskedAgain) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  answers_ = false;
  Event(Changed("acme", ids_["a"]));
  FailAll();
  answers_ = true;
  Note(validator_->Tick());
  EXPECT_LE(wake_at_, clock_.Now() + absl::Milliseconds(200));
  Pass(absl::Milliseconds(200));
  EXPECT_EQ(Totals().in_doubt, 0);
  EXPECT_EQ(Totals().open, 1);
}

TEST_F(HoldsTest, WhileAHoldIsInDoubtItsHolderHasAWordOfAAtTheMost) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  ASSERT_TRUE(Open(2, Token("b")).ok());
  const auto other = validator_->holds().Join([] {}).value();
  ASSERT_TRUE(Open(1, Token("b"), {}, other).ok());
  Read();
  answers_ = false;
  Event(Changed("acme", ids_["a"]));
  const base::BootTime event = clock_.Now();
  while (Totals().in_doubt > 0) {
    const absl::Duration length = Renew();
    EXPECT_LE(clock_.Now() + length, event + absl::Seconds(10));
    // What is not in doubt need not be closed for it.
    EXPECT_GE(length, absl::Seconds(2));
    FailAll();
    Pass(absl::Milliseconds(500));
  }
  GrantLease(30);
  EXPECT_GT(Renew(), absl::Seconds(15));
  ASSERT_TRUE(validator_->holds().Renew(other, 1).ok());
  EXPECT_GT(Read(other).renewed.at(0), absl::Seconds(15));
  FailAll();
}

TEST_F(HoldsTest, WithoutALeaseNothingIsHeld) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  ASSERT_TRUE(Open(2, Token("b")).ok());
  Read();
  EXPECT_LE(validator_->holds().TickAt(), clock_.Now() + absl::Seconds(30));
  clock_.Advance(absl::Seconds(30));
  EXPECT_EQ(Renew(), absl::ZeroDuration());  // also before anybody has looked
  Pass(absl::ZeroDuration());
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_NO_LEASE),
                                        std::pair(2u, VERDICT_REASON_NO_LEASE)));
  ASSERT_TRUE(Open(3, Token("a")).ok());
  EXPECT_THAT(Read().opened, ElementsAre(std::pair(3u, VERDICT_REASON_NO_LEASE)));
}

TEST_F(HoldsTest, OnceTheClocksDisagreeNothingIsHeld) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  clock_.StepWall(absl::Minutes(1));
  EXPECT_EQ(Renew(), absl::ZeroDuration());
  Note(validator_->Tick());
  clock_.StepWall(-absl::Minutes(1));
  validator_->Settle();
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_NO_LEASE)));
}

TEST_F(HoldsTest, AnotherHistoryEndsEveryHoldAlsoWhereALeaseIsGrantedAtOnce) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  epoch_ = "e2";
  Note(validator_->StreamClosed(stream_));
  clock_.Advance(absl::Seconds(1));
  const FollowerActions again = validator_->Tick();
  ASSERT_TRUE(again.connect);
  stream_ = again.stream;
  validator_->StreamConnected(stream_);
  Note(validator_->StreamMessage(stream_, WelcomeMessage("e2", 10, true)));
  Note(validator_->StreamMessage(stream_, PongMessage(sequence_, 10, 30)));
  ASSERT_EQ(validator_->Status().lease, LeaseState::kLive);
  validator_->Settle();
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_NO_LEASE)));
}

TEST_F(HoldsTest, AResetAsksAboutEveryToken) {
  options_.holds.most_questions = 2;
  MakeLive();
  for (uint64_t id = 1; id <= 6; ++id) ASSERT_TRUE(Open(id, Token(std::string(1, 'a' + id))).ok());
  Read();
  Note(validator_->StreamClosed(stream_));
  clock_.Advance(absl::Seconds(1));
  stream_ = validator_->Tick().stream;
  validator_->StreamConnected(stream_);
  grants_[std::string(1, 'a' + 3)].set_state(TOKEN_STATE_REVOKED);
  revision_ = 40;
  answers_ = false;
  Say(WelcomeMessage("e1", 40, true));
  EXPECT_EQ(Totals().in_doubt, 6);
  EXPECT_EQ(asked_.size(), 2u);  // as many at once as may be
  answers_ = true;
  AnswerAll();
  EXPECT_EQ(Totals().in_doubt, 0);
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(3u, VERDICT_REASON_REVOKED)));
}

TEST_F(HoldsTest, ACohortAsksAboutItsOwnTokens) {
  MakeLive();
  Token("a");
  Token("b");
  Token("c");
  Token("d");
  grants_["b"].set_owner("team-b");
  grants_["c"].set_workspace("other");
  grants_["d"].set_create_revision(900);
  uint64_t id = 0;
  for (const char* name : {"a", "b", "c", "d"}) ASSERT_TRUE(Open(++id, Token(name)).ok());
  Read();
  questions_ = 0;
  grants_["a"].set_state(TOKEN_STATE_REVOKED);
  Event(Cohort("acme", "team-a"));
  EXPECT_EQ(questions_, 1);
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_REVOKED)));
}

TEST_F(HoldsTest, WhatIsHeldOpenIsInUse) {
  MakeLive();
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(Open(id, Token("a")).ok());
  ASSERT_TRUE(Open(4, Token("b")).ok());
  Read();
  // What the next report tells of: count and last use.
  const auto report = [this] {
    std::map<std::string, std::pair<int64_t, absl::Time>> uses;
    reports_.clear();
    while (reports_.empty()) {
      GrantLease(30);
      Pass(absl::Seconds(1));
      Renew();
    }
    for (const auto& use : reports_.back().uses()) {
      for (const auto& [name, id] : ids_) {
        if (id == use.token_id()) {
          uses[name] = {use.count(), base::FromProto(use.last_used_time())};
        }
      }
    }
    EXPECT_TRUE(reports_.back().has_complete_until());
    for (const auto& [name, use] : uses) {
      EXPECT_GE(use.second, base::FromProto(reports_.back().complete_until())) << name;
    }
    return uses;
  };
  auto uses = report();
  EXPECT_EQ(uses.at("a").first, 3);
  EXPECT_EQ(uses.at("b").first, 1);
  uses = report();
  EXPECT_EQ(uses.at("a").first, 0) << "no admission";
  EXPECT_EQ(uses.size(), 2u);

  answers_ = false;
  Event(Changed("acme", ids_["a"]));
  uses = report();
  ASSERT_EQ(Totals().open, 1) << "it was not answered in time";
  EXPECT_EQ(uses.count("a"), 0u);
  ASSERT_TRUE(validator_->holds().Close(holder_, 4).ok());
  EXPECT_EQ(report().size(), 0u);
  FailAll();
}

TEST_F(HoldsTest, InDoubtOrWithoutALeaseNothingIsInUse) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  std::vector<HeldUse> held;
  validator_->holds().CollectHeld(&held);
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held[0].workspace, "acme");
  EXPECT_EQ(held[0].token_id, ids_["a"]);
  answers_ = false;
  Event(Changed("acme", ids_["a"]));
  held.clear();
  validator_->holds().CollectHeld(&held);
  EXPECT_THAT(held, IsEmpty());
  AnswerAll();
  validator_->holds().CollectHeld(&held);
  EXPECT_EQ(held.size(), 1u);
  clock_.Advance(absl::Seconds(31));
  held.clear();
  validator_->holds().CollectHeld(&held);
  EXPECT_THAT(held, IsEmpty());
}

TEST_F(HoldsTest, WhatNoHolderRenewsIsNotInUse) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  Stay(absl::Seconds(60));  // its stream is there, and its word is over: it has closed
  ASSERT_EQ(Totals().open, 1);
  std::vector<HeldUse> held;
  validator_->holds().CollectHeld(&held);
  EXPECT_THAT(held, IsEmpty());
  Renew();
  validator_->holds().CollectHeld(&held);
  EXPECT_EQ(held.size(), 1u);
}

TEST_F(HoldsTest, AHoldEndsWithItsToken) {
  MakeLive();
  Token("a");
  Token("b");
  grants_["a"].mutable_expire_time()->set_seconds(kServiceSeconds + 10);
  grants_["b"].mutable_retire_time()->set_seconds(kServiceSeconds + 20);
  ASSERT_TRUE(Open(1, Token("a")).ok());
  ASSERT_TRUE(Open(2, Token("b")).ok());
  Read();
  EXPECT_LE(validator_->holds().TickAt(), clock_.Now() + absl::Milliseconds(10'100));
  Pass(absl::Milliseconds(9'900));
  EXPECT_THAT(Read().order, IsEmpty());
  Pass(absl::Milliseconds(200));
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_EXPIRED)));
  Pass(absl::Seconds(10));
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(2u, VERDICT_REASON_REVOKED)));
}

TEST_F(HoldsTest, ATokenThatWasGivenMoreTimeIsNotCalledExpired) {  // I7
  MakeLive();
  Token("a");
  grants_["a"].mutable_expire_time()->set_seconds(kServiceSeconds + 10);
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  Pass(absl::Milliseconds(9'900));
  answers_ = false;
  grants_["a"].mutable_expire_time()->set_seconds(kServiceSeconds + 15);
  Event(Changed("acme", ids_["a"]));
  Pass(absl::Milliseconds(200));
  EXPECT_THAT(Read().order, IsEmpty());
  AnswerAll();
  EXPECT_THAT(Read().order, IsEmpty());
  Pass(absl::Seconds(5));
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_EXPIRED)));
}

TEST_F(HoldsTest, WithFailOpenNothingIsHeldBeyondTheLease) {
  options_.follower.stale_policy = STALE_POLICY_FAIL_OPEN;
  options_.follower.fail_open_for = absl::Minutes(5);
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  Pass(absl::Seconds(31));
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_NO_LEASE)));
  ASSERT_TRUE(Open(2, Token("a")).ok());
  EXPECT_THAT(Read().opened, ElementsAre(std::pair(2u, VERDICT_REASON_NO_LEASE)));
  ASSERT_TRUE(Open(3, Token("b")).ok());  // which the service has to be asked about
  EXPECT_THAT(Read().opened, ElementsAre(std::pair(3u, VERDICT_REASON_NO_LEASE)));
  // They are counted as what was said.
  const DecisionTotals totals = validator_->Totals();
  EXPECT_EQ(totals.admitted, 1);
  EXPECT_EQ(totals.admitted_fail_open, 0);
  EXPECT_EQ(totals.refused[VERDICT_REASON_NO_LEASE], 2);
}

TEST_F(HoldsTest, ByNameHoldsOutliveTheLease) {
  options_.holds.outlive_lease = absl::Minutes(5);
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  // Words reach as far.
  const absl::Duration lease = absl::Seconds(30) * 0.999;
  EXPECT_EQ(Read().good_for.at(1), (lease + absl::Minutes(5)) * 0.999);
  Pass(absl::Seconds(31));
  EXPECT_EQ(validator_->Status().lease, LeaseState::kNone);
  EXPECT_THAT(Read().order, IsEmpty());
  EXPECT_EQ(Totals().uncovered, 1);
  EXPECT_EQ(Renew(), (lease + absl::Minutes(5) - absl::Seconds(31)) * 0.999);
  // Opening needs a lease all the same.
  ASSERT_TRUE(Open(2, Token("a")).ok());
  EXPECT_THAT(Read().opened, ElementsAre(std::pair(2u, VERDICT_REASON_NO_LEASE)));
  EXPECT_LE(validator_->holds().TickAt(), clock_.Now() + absl::Minutes(5));
  Pass(absl::Seconds(298));
  EXPECT_THAT(Read().order, IsEmpty());
  Pass(absl::Seconds(2));
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_NO_LEASE)));
}

TEST_F(HoldsTest, WhatOutlivesTheLeaseEndsByAnEventThatComesWithTheNext) {
  options_.holds.outlive_lease = absl::Minutes(5);
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  ASSERT_TRUE(Open(2, Token("b")).ok());
  Read();
  const auto again = [this](bool reset) {
    Note(validator_->StreamClosed(stream_));
    clock_.Advance(absl::Seconds(31));
    ASSERT_EQ(validator_->Status().lease, LeaseState::kNone);
    stream_ = validator_->Tick().stream;
    validator_->Settle();
    validator_->StreamConnected(stream_);
    Say(WelcomeMessage("e1", revision_, reset));
  };
  grants_["a"].set_state(TOKEN_STATE_REVOKED);
  again(false);
  EXPECT_THAT(Read().order, IsEmpty());
  Event(Changed("acme", ids_["a"]));
  GrantLease(30);
  Pass(absl::Milliseconds(300));  // what was answered without a lease is asked again
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_REVOKED)));
  // A reset may stand for any event.
  grants_["b"].set_state(TOKEN_STATE_REVOKED);
  again(true);
  GrantLease(30);
  Pass(absl::Milliseconds(300));
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(2u, VERDICT_REASON_REVOKED)));
}

TEST_F(HoldsTest, WhatOutlivesTheLeaseEndsWithItsTokenAndAccusesNobody) {
  options_.holds.outlive_lease = absl::Minutes(5);
  MakeLive();
  Token("a");
  grants_["a"].mutable_expire_time()->set_seconds(kServiceSeconds + 60);
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  Pass(absl::Seconds(59));
  EXPECT_THAT(Read().order, IsEmpty());
  Pass(absl::Seconds(2));
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_NO_LEASE)));  // I7
}

TEST_F(HoldsTest, NothingOutlivesItsHistoryNorAClockThatSaysThatItIsLater) {
  options_.holds.outlive_lease = absl::Minutes(5);
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  clock_.StepWall(absl::Minutes(4));
  Pass(absl::Seconds(1));
  EXPECT_THAT(Read().order, IsEmpty());
  EXPECT_LT(Renew(), absl::Minutes(2));
  clock_.StepWall(absl::Minutes(2));
  Pass(absl::Seconds(1));
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_NO_LEASE)));
  clock_.StepWall(-absl::Minutes(6));
  Note(validator_->StreamClosed(stream_));
  clock_.Advance(absl::Seconds(1));
  stream_ = validator_->Tick().stream;
  validator_->StreamConnected(stream_);
  Say(WelcomeMessage("e1", 10, false));
  GrantLease(30);
  ASSERT_TRUE(Open(2, Token("a")).ok());
  ASSERT_EQ(Read().opened.at(2), VERDICT_REASON_UNSPECIFIED);
  epoch_ = "e2";
  Note(validator_->StreamClosed(stream_));
  clock_.Advance(absl::Seconds(1));
  stream_ = validator_->Tick().stream;
  validator_->StreamConnected(stream_);
  Say(WelcomeMessage("e2", 10, true));
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(2u, VERDICT_REASON_NO_LEASE)));
}

TEST_F(HoldsTest, HelloTellsForHowLongHoldsOutliveTheLease) {
  for (const absl::Duration time : {absl::ZeroDuration(), absl::Duration(absl::Minutes(5))}) {
    options_.holds.outlive_lease = time;
    auto made = Validator::Create(options_, clock_, random_, [](const auto&, auto) {});
    ASSERT_TRUE(made.ok());
    const FollowerActions start = (*made)->Start();
    const FollowerActions actions = (*made)->StreamConnected(start.stream);
    ASSERT_EQ(actions.send.size(), 1u);
    EXPECT_EQ(actions.send[0].hello().has_holds_outlive_lease(), time > absl::ZeroDuration());
    EXPECT_EQ(base::FromProto(actions.send[0].hello().holds_outlive_lease()), time);
  }
}

TEST_F(HoldsTest, WhoeverLeavesEndsEveryHoldFirst) {  // R4
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  answers_ = false;
  ASSERT_TRUE(Open(2, Token("b")).ok());  // not answered yet
  Read();
  validator_->StopAdmitting();
  const Told told = Read();
  EXPECT_THAT(told.ended, ElementsAre(std::pair(1u, VERDICT_REASON_SERVICE_UNAVAILABLE)));
  EXPECT_FALSE(told.finished) << "what has ended is to be answered";
  wakes_ = 0;
  ASSERT_TRUE(validator_->holds().Close(holder_, 1).ok());
  EXPECT_EQ(wakes_, 1);
  EXPECT_TRUE(Read().finished);
  AnswerAll();
  ASSERT_TRUE(Open(3, Token("a")).ok());
  EXPECT_EQ(Read().opened.at(3), VERDICT_REASON_NO_LEASE);
  EXPECT_EQ(Totals().open, 0);
  const auto late = validator_->holds().Join([] {}).value();
  EXPECT_TRUE(Read(late).finished);
}

TEST_F(HoldsTest, WhatIsClosedIsNotAskedAboutAndItsPlaceIsFree) {
  options_.holds.most = 4;  // two of one holder
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  ASSERT_TRUE(Open(2, Token("b")).ok());
  ASSERT_TRUE(Open(3, Token("c")).ok());
  EXPECT_THAT(Read().opened, ElementsAre(std::pair(1u, VERDICT_REASON_UNSPECIFIED),
                                         std::pair(2u, VERDICT_REASON_UNSPECIFIED),
                                         std::pair(3u, VERDICT_REASON_OVERLOADED)));
  const auto second = validator_->holds().Join([] {}).value();
  const auto third = validator_->holds().Join([] {}).value();
  ASSERT_TRUE(Open(1, Token("a"), {}, second).ok());
  ASSERT_TRUE(Open(2, Token("a"), {}, second).ok());
  ASSERT_TRUE(Open(1, Token("a"), {}, third).ok());
  EXPECT_EQ(Read(third).opened.at(1), VERDICT_REASON_OVERLOADED);
  validator_->holds().Leave(second);
  ASSERT_TRUE(Open(2, Token("a"), {}, third).ok());
  EXPECT_EQ(Read(third).opened.at(2), VERDICT_REASON_UNSPECIFIED);
  validator_->holds().Leave(third);

  // A hold that has ended keeps its place until the holder has closed it.
  grants_["a"].set_state(TOKEN_STATE_REVOKED);
  Event(Changed("acme", ids_["a"]));
  EXPECT_EQ(Read().ended.size(), 1u);
  ASSERT_TRUE(Open(4, Token("c")).ok());
  EXPECT_EQ(Read().opened.at(4), VERDICT_REASON_OVERLOADED);
  ASSERT_TRUE(validator_->holds().Close(holder_, 1).ok());
  ASSERT_TRUE(Open(5, Token("c")).ok());
  EXPECT_EQ(Read().opened.at(5), VERDICT_REASON_UNSPECIFIED);

  for (uint64_t id = 6; id < 20; ++id) {
    ASSERT_TRUE(validator_->holds().Close(holder_, id - 1).ok());
    ASSERT_TRUE(Open(id, Token("c")).ok());
    EXPECT_EQ(Read().opened.at(id), VERDICT_REASON_UNSPECIFIED);
  }

  ASSERT_TRUE(validator_->holds().Close(holder_, 2).ok());
  questions_ = 0;
  Event(Changed("acme", ids_["b"]));
  EXPECT_EQ(questions_, 0);
  EXPECT_EQ(Totals().holders, 1);
  EXPECT_EQ(Totals().open, 1);
}

TEST_F(HoldsTest, AHoldThatIsClosedBeforeItsVerdictIsNone) {
  MakeLive();
  answers_ = false;
  ASSERT_TRUE(Open(1, Token("a")).ok());
  ASSERT_TRUE(validator_->holds().Close(holder_, 1).ok());
  AnswerAll();
  EXPECT_THAT(Read().order, IsEmpty());
  EXPECT_EQ(Totals().open, 0);
}

TEST_F(HoldsTest, AHolderThatHasLostCountIsTold) {
  MakeLive();
  ASSERT_TRUE(Open(5, Token("a")).ok());
  for (const uint64_t id : {0, 4, 5}) {
    const absl::Status refused = Open(id, Token("a"));
    EXPECT_EQ(base::ReasonOf(refused), "HOLD_ID_NOT_GROWING");
    EXPECT_EQ(base::DetailsOf(refused).fields.at(0).field, "open.hold_id");
  }
  EXPECT_EQ(base::ReasonOf(validator_->holds().Close(holder_, 6)), "HOLD_ID_UNKNOWN");
  EXPECT_TRUE(validator_->holds().Close(holder_, 4).ok());  // it may have crossed a refusal
  EXPECT_EQ(base::ReasonOf(validator_->holds().Renew(holder_, 2)), "RENEW_OUT_OF_SEQUENCE");
  EXPECT_TRUE(validator_->holds().Renew(holder_, 1).ok());
  EXPECT_EQ(base::ReasonOf(validator_->holds().Renew(holder_, 1)), "RENEW_OUT_OF_SEQUENCE");
}

TEST_F(HoldsTest, AHolderThatDoesNotReadIsCutOff) {
  MakeLive();
  absl::Status status;
  uint64_t id = 0;
  while (status.ok() && id < 100'000) status = Open(++id, "no token");
  EXPECT_EQ(base::ReasonOf(status), "TOO_SLOW");
  EXPECT_LT(id, 2000u);
}

// Whatever happens: a holder that does its arithmetic holds nothing open that this edge's lease
// does not cover, and, where it was told of a doubt before, nothing beyond A.
TEST_F(HoldsTest, NoWordToAHolderOutlivesTheLease) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    base::SeededRandom chance(seed);
    revision_ = 10;
    renewals_ = 0;
    stream_ = 0;
    asked_.clear();
    MakeLive();
    uint64_t id = 0;
    base::BootTime sent;  // the Renew on its way; it takes up to a second
    base::BootTime lease_end = clock_.Now() + absl::Seconds(30) * 0.999;
    for (int step = 0; step < 300; ++step) {
      switch (chance.Uniform(6)) {
        case 0: {
          answers_ = chance.Uniform(2) == 0;
          ++id;
          ASSERT_TRUE(Open(id, Token(std::string(1, static_cast<char>('a' + id % 7)))).ok());
          break;
        }
        case 1: {
          const double lease = 1 + chance.UniformReal() * 29;
          const base::BootTime before = clock_.Now();
          Note(validator_->Tick());
          GrantLease(lease);
          lease_end = std::max(lease_end, before + absl::Seconds(lease) * 0.999);
          break;
        }
        case 2:
          Event(Changed("acme", ids_[std::string(1, static_cast<char>('a' + chance.Uniform(7)))]));
          break;
        case 3:
          answers_ = true;
          AnswerAll();
          break;
        default:
          break;
      }
      sent = clock_.Now();
      Pass(absl::Seconds(chance.UniformReal()));
      ASSERT_TRUE(validator_->holds().Renew(holder_, ++renewals_).ok());
      const Told told = Read();
      ASSERT_EQ(told.renewed.size(), 1u);
      // The holder's clock runs slow by the drift bound.
      const base::BootTime until = sent + told.renewed[0] * 1.001;
      ASSERT_LE(until, std::max(lease_end, clock_.Now()));
      if (validator_->Status().lease != LeaseState::kLive) {
        ASSERT_EQ(told.renewed[0], absl::ZeroDuration());
        ASSERT_EQ(Totals().open, 0);
      }
      for (const auto& [hold, good] : told.good_for)
        ASSERT_LE(sent + good, std::max(lease_end, clock_.Now()));
    }
    answers_ = true;
    AnswerAll();
  }
}

}  // namespace
}  // namespace tollgate::validator
