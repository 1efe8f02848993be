// The ledger as a whole: rules that hold between its parts.
#include "service/feed/ledger/enforcement.h"

#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr absl::Duration kLease = absl::Seconds(30);
constexpr absl::Duration kWindow = absl::Seconds(30);

lease::SessionId Id(const std::string& validator, char incarnation = 'a') {
  return {validator, std::string(16, incarnation)};
}

std::vector<lease::SessionId> Keys(const std::vector<RosterRemoval>& removals) {
  std::vector<lease::SessionId> keys;
  for (const RosterRemoval& removal : removals) keys.push_back(removal.key);
  return keys;
}

store::v1::SessionRecord Record(const lease::SessionId& id, absl::Duration fail_open_for = {}) {
  store::v1::SessionRecord record;
  record.set_validator_id(id.validator_id);
  record.set_incarnation(id.incarnation);
  record.set_fail_open(fail_open_for > absl::ZeroDuration());
  record.set_fail_open_for_us(absl::ToInt64Microseconds(fail_open_for));
  return record;
}

// A ledger on a clock that stands still until told.
class LedgerTest : public ::testing::Test {
 protected:
  LedgerTest() { Begin({}); }

  // Starts (again) at `now_`, with the store as it would be found.
  void Begin(std::vector<store::v1::SessionRecord> roster, bool restored = false,
             absl::Duration longest_before = kLease) {
    EnforcementLedger::Options options;
    options.epoch = "e1";
    options.lease = kLease;
    EnforcementLedger::Start start;
    start.now = now_;
    start.head = head_;
    start.last_event_revision = last_event_;
    start.longest_lease = std::max(longest_before, kLease);
    start.longest_lease_before = longest_before;
    start.restored = restored;
    start.roster = std::move(roster);
    ledger_ = std::make_unique<EnforcementLedger>(options, start);
    ledger_->OnStoreWrite(now_);
  }

  void Pass(absl::Duration d) {
    now_ = now_ + d;
    ledger_->Advance(now_);
    ledger_->OnStoreWrite(now_);  // the keep-alive
  }
  int64_t Commit(bool events = true) {
    ledger_->OnRevision(++head_, events, now_);
    if (events) last_event_ = head_;
    return head_;
  }
  void Hello(const lease::SessionId& id, absl::Duration fail_open_for = {}) {
    v1::Hello hello;
    hello.set_validator_id(id.validator_id);
    hello.set_incarnation(id.incarnation);
    if (fail_open_for > absl::ZeroDuration()) {
      hello.set_stale_policy(v1::STALE_POLICY_FAIL_OPEN);
      hello.mutable_fail_open_for()->set_seconds(absl::ToInt64Seconds(fail_open_for));
    }
    ledger_->OnHello(id, hello, now_, "");
  }
  void Ack(const lease::SessionId& id, int64_t revision) {
    ledger_->Acknowledge(id, revision, v1::Ping(), now_);
  }
  LeaseAnswer Ask(const lease::SessionId& id, int64_t revision) {
    return ledger_->GrantLease(id, revision, now_);
  }
  // Hello, roster, acknowledged up to the head, granted.
  void Join(const lease::SessionId& id, absl::Duration fail_open_for = {}) {
    Hello(id, fail_open_for);
    ledger_->OnRostered(ledger_->BeginRosterWrite(id, absl::UnixEpoch()));
    Ack(id, head_);
    ASSERT_EQ(Ask(id, head_).outcome, LeaseOutcome::kGranted);
  }
  v1::Receipt Receipt(int64_t revision) { return ledger_->ReceiptFor({revision, "", ""}); }
  bool Enforced(int64_t revision) {
    const bool by_receipt = Receipt(revision).state() == v1::ENFORCEMENT_STATE_ENFORCED;
    EXPECT_EQ(by_receipt, ledger_->enforced_revision() >= revision);
    return by_receipt;
  }

  base::BootTime now_ = base::BootTime::FromNanos(1'000'000'000'000);
  int64_t head_ = 100;
  int64_t last_event_ = 90;
  std::unique_ptr<EnforcementLedger> ledger_;
};

TEST_F(LedgerTest, WithoutSessionsAllIsEnforcedAtOnce) {
  EXPECT_TRUE(Enforced(100));
  EXPECT_TRUE(Enforced(Commit()));
  EXPECT_FALSE(Enforced(head_ + 1));
  EXPECT_THAT(Receipt(head_ + 1).hold(), Not(IsEmpty()));
}

TEST_F(LedgerTest, R14WaitsForEveryLiveSession) {
  Join(Id("a"));
  Join(Id("b"));
  const int64_t r = Commit();
  EXPECT_FALSE(Enforced(r));
  EXPECT_EQ(Receipt(r).pending_count(), 2);
  Ack(Id("a"), r);
  v1::Receipt receipt = Receipt(r);
  EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_PENDING);
  EXPECT_EQ(receipt.acknowledged(), 1);
  ASSERT_EQ(receipt.pending_size(), 1);
  EXPECT_EQ(receipt.pending(0).validator(), "b");
  EXPECT_EQ(receipt.pending(0).revisions_behind(), 1);
  EXPECT_EQ(receipt.pending(0).lease_left().seconds(), 30);
  Ack(Id("b"), r);
  EXPECT_TRUE(Enforced(r));
  EXPECT_EQ(Receipt(r).acknowledged(), 2);
  EXPECT_EQ(Receipt(r).pending_count(), 0);
}

// Of R, as a ping tells it.
v1::Ping Told(int64_t revision, int64_t told, int64_t closed) {
  v1::Ping ping;
  v1::EndedHolds* ended = ping.add_ended_holds();
  ended->set_revision(revision);
  ended->set_told(told);
  ended->set_closed(closed);
  ended->add_unanswered("chat/web-7");
  return ping;
}

TEST_F(LedgerTest, HoldsAreOpenUntilTheirEdgesWordsEnd) {
  Join(Id("a"));
  const int64_t r = Commit();
  ledger_->Acknowledge(Id("a"), r, Told(r, 2, 3), now_);
  EXPECT_TRUE(Enforced(r));
  EXPECT_TRUE(ledger_->AnyHoldOpen(r));
  EXPECT_EQ(Receipt(r).holds_open(), 2);
  Pass(kLease - absl::Nanoseconds(1));
  EXPECT_TRUE(ledger_->AnyHoldOpen(r));
  const uint64_t closings = ledger_->hold_closings();
  Pass(absl::Nanoseconds(1));
  EXPECT_FALSE(ledger_->AnyHoldOpen(r));
  EXPECT_GT(ledger_->hold_closings(), closings);
  EXPECT_EQ(Receipt(r).holds_open(), 0);
  EXPECT_EQ(Receipt(r).holds_closed(), 3);
  EXPECT_EQ(Receipt(r).holds_silent(), 2);
  ASSERT_THAT(Receipt(r).edge_holds(), SizeIs(1));
  EXPECT_TRUE(Receipt(r).edge_holds(0).gone());
  EXPECT_THAT(Receipt(r).edge_holds(0).unanswered(), ElementsAre("chat/web-7"));
  // Without a lease nobody's word is good, whatever it says.
  ledger_->Acknowledge(Id("a"), r, Told(r, 1, 4), now_);
  EXPECT_FALSE(ledger_->AnyHoldOpen(r));
  EXPECT_EQ(Receipt(r).holds_silent(), 1);
}

TEST_F(LedgerTest, R4WhoSaidGoodbyeLeavesWordsThatEndWithItsLease) {
  Join(Id("a"));
  const int64_t r = Commit();
  ledger_->Acknowledge(Id("a"), r, Told(r, 2, 0), now_);
  Pass(absl::Seconds(10));
  ledger_->Release(Id("a"), now_);
  EXPECT_TRUE(ledger_->AnyHoldOpen(r)) << "the holder may have a word that is still good";
  EXPECT_EQ(ledger_->NextChange(), now_ + absl::Seconds(20));
  Pass(absl::Seconds(20));
  EXPECT_FALSE(ledger_->AnyHoldOpen(r));
  EXPECT_EQ(Receipt(r).holds_silent(), 2);
  EXPECT_TRUE(Receipt(r).edge_holds(0).gone());
}

TEST_F(LedgerTest, R15HoldsKeptPastTheLeaseAreNamedAfterARestartToo) {
  const int64_t r = Commit();
  store::v1::SessionRecord record = Record(Id("keeps"));
  record.set_holds_outlive_lease_us(absl::ToInt64Microseconds(absl::Minutes(5)));
  Begin({record, Record(Id("plain"))});
  EXPECT_THAT(Receipt(r).holds_not_covered(), IsEmpty()) << "it is waited for";
  Pass(kWindow + kLease);
  EXPECT_TRUE(Enforced(r));
  EXPECT_THAT(Receipt(r).holds_not_covered(), ElementsAre("keeps"));
  EXPECT_THAT(Keys(ledger_->TakeRosterRemovals()), ElementsAre(Id("plain")));
  Pass(absl::Minutes(6));
  EXPECT_THAT(Receipt(r).holds_not_covered(), IsEmpty());
  EXPECT_THAT(Keys(ledger_->TakeRosterRemovals()), ElementsAre(Id("keeps")));
}

TEST_F(LedgerTest, R14OnlyTheLastEventUpToARevisionMustBeAcknowledged) {
  Join(Id("a"));
  EXPECT_TRUE(Enforced(Commit(/*events=*/false)));
  const int64_t r = Commit();
  const int64_t eventless = Commit(/*events=*/false);
  EXPECT_FALSE(Enforced(r));
  EXPECT_TRUE(Enforced(r - 1));
  EXPECT_FALSE(Enforced(eventless));
  Ack(Id("a"), r);
  EXPECT_TRUE(Enforced(eventless));
}

TEST_F(LedgerTest, R1ALeaseRunsOutAfterItsFullLengthFromThePong) {
  Join(Id("a"));
  const int64_t r = Commit();
  Pass(kLease - absl::Milliseconds(1));
  EXPECT_FALSE(Enforced(r));
  EXPECT_EQ(ledger_->NextChange(), now_ + absl::Milliseconds(1));
  Pass(absl::Milliseconds(1));
  EXPECT_TRUE(Enforced(r));
  v1::Receipt receipt = Receipt(r);
  EXPECT_EQ(receipt.lapsed(), 1);
  EXPECT_EQ(receipt.acknowledged(), 0);
  EXPECT_THAT(receipt.lapsed_validators(), ElementsAre("a"));
  EXPECT_EQ(ledger_->lapses(), 1);
  // What was committed after it lapsed, it is not counted for.
  EXPECT_EQ(Receipt(Commit()).lapsed(), 0);
}

TEST_F(LedgerTest, R2AHelloAndAnAcknowledgementGrantNothing) {
  Hello(Id("a"));
  Ack(Id("a"), head_);
  EXPECT_EQ(ledger_->live_count(), 0u);
  EXPECT_TRUE(Enforced(Commit()));
}

TEST_F(LedgerTest, R3ALifeOnlyGrows) {
  Join(Id("a"));
  const int64_t r = Commit();
  // A new stream, a closed one, a twin that leaves: none shortens it.
  Hello(Id("a"));
  ledger_->OnStreamClosed(Id("a"), now_);
  ledger_->OnStreamClosed(Id("a"), now_);
  Join(Id("a", 'z'));
  ledger_->Release(Id("a", 'z'), now_);
  EXPECT_FALSE(Enforced(r));
  // A late caller with an old reading does not move time back, nor shorten.
  Pass(absl::Seconds(10));
  Ack(Id("a"), r);
  ASSERT_EQ(ledger_->GrantLease(Id("a"), r, now_ - absl::Seconds(8)).outcome,
            LeaseOutcome::kGranted);
  const int64_t r2 = Commit();
  Pass(kLease - absl::Milliseconds(1));
  EXPECT_FALSE(Enforced(r2));
  Pass(absl::Milliseconds(1));
  EXPECT_TRUE(Enforced(r2));
}

TEST_F(LedgerTest, R4GoodbyeReleasesAtOnceAndForGood) {
  Join(Id("a"));
  const int64_t r = Commit();
  ledger_->Release(Id("a"), now_);
  EXPECT_TRUE(Enforced(r));
  EXPECT_EQ(Receipt(r).released(), 1);
  EXPECT_EQ(Receipt(r).lapsed(), 0);
  // Whatever arrives later.
  Hello(Id("a"));
  Ack(Id("a"), r);
  EXPECT_EQ(Ask(Id("a"), r).outcome, LeaseOutcome::kReleased);
  EXPECT_EQ(ledger_->live_count(), 0u);
  EXPECT_THAT(Keys(ledger_->TakeRosterRemovals()), ElementsAre(Id("a")));
  EXPECT_THAT(Keys(ledger_->TakeRosterRemovals()), IsEmpty());
}

TEST_F(LedgerTest, R5NoLeaseLongerThanTheStoreAllows) {
  EnforcementLedger::Options options;
  options.lease = kLease;
  EnforcementLedger::Start start;
  start.now = now_;
  start.longest_lease = kLease - absl::Seconds(1);
  EnforcementLedger ledger(options, start);
  ledger.OnStoreWrite(now_);
  ledger.OnHello(Id("a"), v1::Hello(), now_, "");
  ledger.OnRostered(ledger.BeginRosterWrite(Id("a"), absl::UnixEpoch()));
  EXPECT_EQ(ledger.GrantLease(Id("a"), 0, now_).outcome, LeaseOutcome::kLeaseNotDurable);
}

TEST_F(LedgerTest, R5TheLongestLeaseIsLoweredOnlyOnceNothingLongerCanBeHeld) {
  Begin({}, false, absl::Minutes(2));
  EXPECT_EQ(ledger_->TakeLowerLongestLease(), absl::nullopt);
  Pass(2 * absl::Minutes(2) - absl::Milliseconds(1));  // its T may have been as long
  EXPECT_EQ(ledger_->TakeLowerLongestLease(), absl::nullopt);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(ledger_->TakeLowerLongestLease(), absl::optional<absl::Duration>(kLease));
  EXPECT_EQ(ledger_->TakeLowerLongestLease(), absl::nullopt);
}

TEST_F(LedgerTest, R6AnEventUnacknowledgedForLongerThanAStopsGrants) {
  Join(Id("a"));
  const int64_t r = Commit();
  Pass(absl::Seconds(10));
  EXPECT_EQ(Ask(Id("a"), r).outcome, LeaseOutcome::kGranted);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(Ask(Id("a"), r).outcome, LeaseOutcome::kNoProgress);
  // A new stream of the same incarnation is no fresh start.
  ledger_->OnStreamClosed(Id("a"), now_);
  Hello(Id("a"));
  EXPECT_EQ(Ask(Id("a"), r).outcome, LeaseOutcome::kNoProgress);
  // Progress is.
  Ack(Id("a"), r);
  EXPECT_EQ(Ask(Id("a"), r).outcome, LeaseOutcome::kGranted);
}

TEST_F(LedgerTest, R6AtWorstOneLeaseAndA) {
  Join(Id("a"));
  const int64_t r = Commit();
  absl::Duration waited;
  while (!Enforced(r)) {  // it pings, and never applies
    Pass(absl::Seconds(1));
    waited += absl::Seconds(1);
    Ask(Id("a"), r);
    ASSERT_LE(waited, kLease + absl::Seconds(11));
  }
  EXPECT_EQ(Receipt(r).lapsed(), 1);
}

TEST_F(LedgerTest, R9NoGrantBelowWhatWasDeclaredEnforced) {
  Hello(Id("a"));
  ledger_->OnRostered(ledger_->BeginRosterWrite(Id("a"), absl::UnixEpoch()));
  Ack(Id("a"), head_);
  const int64_t before = head_;
  EXPECT_TRUE(Enforced(Commit()));
  EXPECT_EQ(Ask(Id("a"), before).outcome, LeaseOutcome::kBelowEnforced);
  EXPECT_EQ(ledger_->live_count(), 0u);
  EXPECT_EQ(Ask(Id("a"), head_).outcome, LeaseOutcome::kGranted);
  // Granted at r, though it has acknowledged less so far: r stays enforced, the next one waits.
  EXPECT_TRUE(Enforced(head_));
  EXPECT_FALSE(Enforced(Commit()));
}

TEST_F(LedgerTest, R9AfterAStartTheFloorIsTheDurableHead) {
  Begin({Record(Id("gone"))});  // so nothing is enforced yet
  Hello(Id("a"));
  ledger_->OnRostered(ledger_->BeginRosterWrite(Id("a"), absl::UnixEpoch()));
  Ack(Id("a"), head_);
  EXPECT_EQ(ledger_->enforced_revision(), last_event_ > 0 ? 0 : head_);
  EXPECT_EQ(Ask(Id("a"), head_ - 1).outcome, LeaseOutcome::kBelowEnforced);
  EXPECT_EQ(Ask(Id("a"), head_).outcome, LeaseOutcome::kGranted);
}

TEST_F(LedgerTest, R9AfterAStartNoGrantBelowWhatTheServiceBeforeHadDeclared) {
  Join(Id("late"));
  const int64_t applied = head_;
  Pass(kLease);  // it lapses, and goes out of the roster
  Join(Id("other"));
  const int64_t r = Commit();
  Ack(Id("other"), r);
  ASSERT_TRUE(Enforced(r));
  // The start waits for `other`, so it declares nothing that could refuse `late` its lease.
  Begin({Record(Id("other"))});
  EXPECT_FALSE(Enforced(r));
  Hello(Id("late"));
  ledger_->OnRostered(ledger_->BeginRosterWrite(Id("late"), absl::UnixEpoch()));
  Ack(Id("late"), applied);
  EXPECT_EQ(Ask(Id("late"), applied).outcome, LeaseOutcome::kBelowEnforced);
  EXPECT_EQ(Ask(Id("late"), r).outcome, LeaseOutcome::kGranted);
}

TEST_F(LedgerTest, R10AcknowledgementsAreByIncarnationAndNeverFall) {
  Join(Id("a", '1'));
  Join(Id("a", '2'));  // a twin under the same id
  const int64_t r = Commit();
  Ack(Id("a", '1'), r);
  EXPECT_FALSE(Enforced(r));
  Ack(Id("a", '1'), r - 5);  // late, from a half-open stream
  Ack(Id("a", '2'), r);
  EXPECT_TRUE(Enforced(r));
  EXPECT_EQ(Receipt(r).acknowledged(), 2);
}

TEST_F(LedgerTest, R11ARolledBackStoreGrantsAndDeclaresNothingMore) {
  Join(Id("a"));
  ledger_->StopGranting();
  const int64_t r = Commit();
  Ack(Id("a"), r);
  EXPECT_EQ(Ask(Id("a"), r).outcome, LeaseOutcome::kRolledBack);
  EXPECT_FALSE(Enforced(r));
  EXPECT_THAT(Receipt(r).hold(), Not(IsEmpty()));
  EXPECT_FALSE(ledger_->KeepAliveDue(now_ + absl::Hours(1)));
}

TEST_F(LedgerTest, R15NoGrantBeforeTheRosterIsDurable) {
  Hello(Id("a"));
  Ack(Id("a"), head_);
  EXPECT_TRUE(ledger_->NeedsRoster(Id("a")));
  EXPECT_EQ(Ask(Id("a"), head_).outcome, LeaseOutcome::kNotRostered);
  ledger_->OnRostered(ledger_->BeginRosterWrite(Id("a"), absl::UnixEpoch()));
  EXPECT_FALSE(ledger_->NeedsRoster(Id("a")));
  EXPECT_EQ(Ask(Id("a"), head_).outcome, LeaseOutcome::kGranted);
}

TEST_F(LedgerTest, R15AfterAStartTheRosterHoldsForTAndTheLongestLease) {
  Begin({Record(Id("a")), Record(Id("b"))});
  EXPECT_FALSE(Enforced(head_));
  v1::Receipt receipt = Receipt(head_);
  EXPECT_EQ(receipt.pending_count(), 2);
  EXPECT_FALSE(receipt.pending(0).has_last_heard());
  Pass(kWindow + kLease - absl::Milliseconds(1));
  EXPECT_FALSE(Enforced(head_));
  Pass(absl::Milliseconds(1));
  EXPECT_TRUE(Enforced(head_));
  EXPECT_EQ(Receipt(head_).lapsed(), 2);
  EXPECT_THAT(Keys(ledger_->TakeRosterRemovals()), SizeIs(2));
}

TEST_F(LedgerTest, R15TheHoldEndsAsSoonAsTheRosterIsBackAndHasAcknowledged) {
  Begin({Record(Id("a")), Record(Id("b"))});
  const int64_t r = Commit();
  Hello(Id("a"));
  Ack(Id("a"), r);
  Hello(Id("b", 'x'));  // another incarnation of b answers for itself only
  Ack(Id("b", 'x'), r);
  EXPECT_FALSE(Enforced(r));
  Hello(Id("b"));
  Ack(Id("b"), r);
  EXPECT_TRUE(Enforced(r));
  EXPECT_EQ(Receipt(r).acknowledged(), 2);
}

TEST_F(LedgerTest, R15OneOfTheRosterThatSaysGoodbyeIsWaitedForNoLonger) {
  Begin({Record(Id("a"))});
  Hello(Id("a"));
  EXPECT_FALSE(Enforced(head_));
  ledger_->Release(Id("a"), now_);
  EXPECT_TRUE(Enforced(head_));
}

TEST_F(LedgerTest, R15ARecordGoesOnlyWhenNothingCanBeHeldOnIt) {
  Join(Id("a"));
  ledger_->OnStreamClosed(Id("a"), now_);
  EXPECT_THAT(Keys(ledger_->TakeRosterRemovals()), IsEmpty());
  Pass(kLease);
  EXPECT_THAT(Keys(ledger_->TakeRosterRemovals()), ElementsAre(Id("a")));
  // It comes back: it must be written again first.
  Hello(Id("a"));
  Ack(Id("a"), head_);
  EXPECT_EQ(Ask(Id("a"), head_).outcome, LeaseOutcome::kNotRostered);
  // With a stream open the record stays, whatever has lapsed.
  ledger_->OnRostered(ledger_->BeginRosterWrite(Id("a"), absl::UnixEpoch()));
  ASSERT_EQ(Ask(Id("a"), head_).outcome, LeaseOutcome::kGranted);
  Pass(kLease);
  EXPECT_THAT(Keys(ledger_->TakeRosterRemovals()), IsEmpty());
  ledger_->OnStreamClosed(Id("a"), now_);
  EXPECT_THAT(Keys(ledger_->TakeRosterRemovals()), ElementsAre(Id("a")));
}

TEST_F(LedgerTest, R15WhatIsRememberedOfTheMissingHoldsUpNothing) {
  store::v1::SessionRecord lapsed = Record(Id("lapsed"));
  lapsed.set_lapsed_time_us(1);
  Begin({lapsed});
  EXPECT_TRUE(Enforced(head_)) << "it may hold nothing";
  EXPECT_EQ(ledger_->live_count(), 0u);
  EXPECT_THAT(Receipt(head_).missing_validators(), ElementsAre("lapsed"));
  Hello(Id("lapsed"));
  Ack(Id("lapsed"), head_);
  EXPECT_EQ(Ask(Id("lapsed"), head_).outcome, LeaseOutcome::kNotRostered);
  Join(Id("lapsed"));
  EXPECT_THAT(Receipt(head_).missing_validators(), IsEmpty());
  EXPECT_THAT(ledger_->TakeRosterRemovals(), IsEmpty());
}

TEST_F(LedgerTest, ForgetsNobodyWhoMayAdmit) {
  const auto forget = [&](const std::string& id, const std::string& instance = "") {
    const auto key = ledger_->BeginForget(id, instance, now_);
    if (key.ok()) ledger_->OnForgotten(*key);
    return key.ok() ? std::string("forgotten") : base::ReasonOf(key.status());
  };
  EXPECT_EQ(forget("a"), "VALIDATOR_UNKNOWN");
  Join(Id("a"));
  EXPECT_EQ(forget("a"), "VALIDATOR_MAY_ADMIT");
  ledger_->OnStreamClosed(Id("a"), now_);
  EXPECT_EQ(forget("a"), "VALIDATOR_MAY_ADMIT") << "it holds a lease";
  Pass(kLease);
  const std::string instance = InstanceOf(Id("a"));
  EXPECT_EQ(forget("a", instance == "ffff" ? "0" : "ffff"), "VALIDATOR_UNKNOWN");
  Hello(Id("a", 'b'));
  EXPECT_EQ(forget("a"), "VALIDATOR_MAY_ADMIT") << "one of its name is about to";
  EXPECT_EQ(forget("a", instance.substr(0, 8)), "forgotten") << "but that one is not";
  EXPECT_EQ(forget("a", instance), "VALIDATOR_UNKNOWN");
  EXPECT_THAT(Receipt(Commit()).missing_validators(), IsEmpty());
  Join(Id("open"), absl::Minutes(5));
  ledger_->OnStreamClosed(Id("open"), now_);
  Pass(kLease);
  EXPECT_EQ(forget("open"), "VALIDATOR_MAY_ADMIT") << "R14: it fails open";
  Pass(absl::Minutes(6));
  EXPECT_EQ(forget("open"), "forgotten");
}

TEST_F(LedgerTest, R16GrantsOnlyWithinTOfTheLastWrite) {
  Join(Id("a"));
  const base::BootTime written = now_;
  now_ = written + kWindow * 0.998;
  EXPECT_EQ(Ask(Id("a"), head_).outcome, LeaseOutcome::kGranted);
  now_ = written + kWindow * 0.999;  // less drift
  EXPECT_EQ(Ask(Id("a"), head_).outcome, LeaseOutcome::kStoreSilent);
  EXPECT_TRUE(ledger_->KeepAliveDue(now_));
  ledger_->OnStoreWrite(now_);
  EXPECT_EQ(Ask(Id("a"), head_).outcome, LeaseOutcome::kGranted);
  EXPECT_FALSE(ledger_->KeepAliveDue(now_));
  ledger_->OnStreamClosed(Id("a"), now_);
  EXPECT_FALSE(ledger_->KeepAliveDue(now_ + absl::Hours(1)));  // an idle service writes nothing
}

TEST_F(LedgerTest, R17AfterARestoreNothingIsEnforcedForTAndTheHardLimit) {
  Begin({}, /*restored=*/true);
  const int64_t r = Commit();
  EXPECT_FALSE(Enforced(r));
  EXPECT_THAT(Receipt(r).hold(), Not(IsEmpty()));
  EXPECT_EQ(Receipt(r).hold_left().seconds(), 630);
  EXPECT_FALSE(ledger_->TakeRestoreHoldEnd());
  Pass(kWindow + lease::kLongestLease - absl::Milliseconds(1));
  EXPECT_FALSE(Enforced(r));
  Pass(absl::Milliseconds(1));
  EXPECT_TRUE(Enforced(r));
  EXPECT_TRUE(ledger_->TakeRestoreHoldEnd());
  EXPECT_FALSE(ledger_->TakeRestoreHoldEnd());
}

TEST_F(LedgerTest, R14FailOpenIsNotCoveredUntilItsLongestTimeHasPassed) {
  Join(Id("open"), absl::Minutes(5));
  const int64_t r = Commit();
  EXPECT_FALSE(Enforced(r));  // it has a lease, and is waited for like anybody
  Pass(kLease);
  EXPECT_TRUE(Enforced(r));
  EXPECT_THAT(Receipt(r).not_covered(), ElementsAre("open"));
  EXPECT_EQ(Receipt(r).lapsed(), 0);
  EXPECT_THAT(Receipt(Commit()).not_covered(), ElementsAre("open"));
  ledger_->OnStreamClosed(Id("open"), now_);
  EXPECT_THAT(Keys(ledger_->TakeRosterRemovals()), IsEmpty());  // also after a restart
  Pass(absl::Minutes(5));
  EXPECT_THAT(Receipt(r).not_covered(), ElementsAre("open"));  // the drift bound
  Pass(absl::Seconds(1));
  EXPECT_THAT(Receipt(r).not_covered(), IsEmpty());
  EXPECT_EQ(Receipt(r).lapsed(), 1);
  EXPECT_THAT(Keys(ledger_->TakeRosterRemovals()), ElementsAre(Id("open")));
}

// Found by the simulation: the new lease is on its way, and what it held may still admit.
TEST_F(LedgerTest, R14FailOpenGrantedAnewIsNotCoveredUntilItAcknowledges) {
  Join(Id("open"), absl::Minutes(5));
  const int64_t before = head_;
  Pass(kLease - absl::Seconds(1));
  const int64_t r = Commit();
  Pass(absl::Seconds(1));
  ASSERT_TRUE(Enforced(r));
  Ack(Id("open"), before);  // it pings before the event has reached it
  ASSERT_EQ(Ask(Id("open"), r).outcome, LeaseOutcome::kGranted);
  EXPECT_THAT(Receipt(r).not_covered(), ElementsAre("open"));
  EXPECT_EQ(Receipt(r).acknowledged(), 0);
  EXPECT_EQ(Receipt(r).state(), v1::ENFORCEMENT_STATE_ENFORCED);
  Ack(Id("open"), r);
  EXPECT_THAT(Receipt(r).not_covered(), IsEmpty());
  EXPECT_EQ(Receipt(r).acknowledged(), 1);
}

TEST_F(LedgerTest, R14FailOpenFromTheStoreAfterARestart) {
  Begin({Record(Id("open"), absl::Minutes(5))});
  Pass(kWindow + kLease);
  EXPECT_TRUE(Enforced(head_));
  EXPECT_THAT(Receipt(head_).not_covered(), ElementsAre("open"));
  Pass(absl::Minutes(6));
  EXPECT_THAT(Receipt(head_).not_covered(), IsEmpty());
}

TEST_F(LedgerTest, R15BecomingFailOpenMustBeDurableToo) {
  Join(Id("a"));
  Hello(Id("a"), absl::Minutes(5));
  EXPECT_TRUE(ledger_->NeedsRoster(Id("a")));
  EXPECT_EQ(Ask(Id("a"), head_).outcome, LeaseOutcome::kNotRostered);
  Hello(Id("a"));  // the longest it ever said counts
  ledger_->OnRostered(ledger_->BeginRosterWrite(Id("a"), absl::UnixEpoch()));
  EXPECT_EQ(Ask(Id("a"), head_).outcome, LeaseOutcome::kGranted);
  Commit();
  Pass(kLease);
  EXPECT_THAT(Receipt(head_).not_covered(), ElementsAre("a"));
}

TEST_F(LedgerTest, EvidenceComesWithAcknowledgementsOfSessionsThatAreKnown) {
  Join(Id("a"));
  const int64_t r = Commit();
  v1::Ping ping;
  v1::DroppedAdmit* dropped = ping.add_dropped();
  dropped->set_workspace("acme");
  dropped->set_token_id("4mXp81QzR0aYc7Ld");
  dropped->set_revision(r);
  dropped->mutable_last_admit_time()->set_seconds(1234);
  ledger_->Acknowledge(Id("stranger"), r, ping, now_);
  ledger_->Acknowledge(Id("a"), r, ping, now_);
  const v1::Receipt receipt = ledger_->ReceiptFor({r, "acme", "4mXp81QzR0aYc7Ld"});
  ASSERT_EQ(receipt.last_admits_size(), 1);
  EXPECT_EQ(receipt.last_admits(0).edge(), "a");
  EXPECT_EQ(receipt.last_admits(0).last_admit_time().seconds(), 1234);
}

TEST_F(LedgerTest, WhatEndedIsForgottenInTheEnd) {
  for (int i = 0; i < 10'000; ++i) {
    const lease::SessionId id = Id("edge-" + std::to_string(i));
    Join(id);
    ledger_->Release(id, now_);
    ledger_->OnStreamClosed(id, now_);
  }
  std::vector<SessionView> known;
  ledger_->AddSessions(absl::nullopt, SIZE_MAX, &known);
  EXPECT_LE(known.size(), 4097u);
}

}  // namespace
}  // namespace tollgate::service
