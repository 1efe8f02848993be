// What peers, clocks and overtaking writes can do to the ledger.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/feed/ledger/enforcement.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kLease = absl::Seconds(30);
const lease::SessionId kA{"a", std::string(16, 'a')};

std::vector<lease::SessionId> Keys(const std::vector<RosterRemoval>& removals) {
  std::vector<lease::SessionId> keys;
  for (const RosterRemoval& removal : removals) keys.push_back(removal.key);
  return keys;
}

class LedgerFaultsTest : public ::testing::Test {
 protected:
  LedgerFaultsTest() { Begin(Found()); }

  EnforcementLedger::Start Found() {
    EnforcementLedger::Start start;
    start.now = now_;
    start.head = 100;
    start.longest_lease = kLease;
    start.longest_lease_before = kLease;
    return start;
  }
  void Begin(const EnforcementLedger::Start& start, absl::Duration write_window = kLease) {
    EnforcementLedger::Options options;
    options.epoch = "e1";
    options.lease = kLease;
    options.write_window = write_window;
    ledger_ = std::make_unique<EnforcementLedger>(options, start);
    ledger_->OnStoreWrite(now_, wall_);
    ledger_->OnClocks(now_, wall_);
  }
  // Time as this machine sees it; `unseen` only by the wall clock.
  void Pass(absl::Duration d, absl::Duration unseen = absl::ZeroDuration()) {
    now_ = now_ + d;
    wall_ += d + unseen;
    ledger_->Advance(now_);
    ledger_->OnClocks(now_, wall_);
  }
  void Write() { ledger_->OnStoreWrite(now_, wall_); }
  void Hello() { ledger_->OnHello(kA, v1::Hello(), now_, ""); }
  RosterWrite BeginWrite() { return ledger_->BeginRosterWrite(kA, absl::UnixEpoch()); }
  LeaseOutcome Ask() { return ledger_->GrantLease(kA, 100, now_).outcome; }
  void Join() {
    Hello();
    ledger_->OnRostered(BeginWrite());
    ASSERT_EQ(Ask(), LeaseOutcome::kGranted);
  }
  // It is gone for longer than its lease, and then its stream is.
  void Leave() {
    Pass(kLease);
    Write();
    ledger_->OnStreamClosed(kA, now_);
  }

  base::BootTime now_ = base::BootTime::FromNanos(1'000'000'000'000);
  absl::Time wall_ = absl::FromUnixSeconds(1'700'000'000);
  std::unique_ptr<EnforcementLedger> ledger_;
};

TEST_F(LedgerFaultsTest, R15OneThatComesBackBeforeItsRemovalIsTakenStays) {
  Join();
  Leave();
  Hello();
  ledger_->OnRostered(BeginWrite());
  ASSERT_EQ(Ask(), LeaseOutcome::kGranted);
  EXPECT_THAT(Keys(ledger_->TakeRosterRemovals()), IsEmpty());
}

TEST_F(LedgerFaultsTest, R15AnAdditionBeforeARemovalCountsForNothing) {
  Hello();
  Hello();  // from two streams at once
  const RosterWrite first = BeginWrite();
  const RosterWrite second = BeginWrite();
  ledger_->OnRostered(first);
  ASSERT_EQ(Ask(), LeaseOutcome::kGranted);
  ledger_->OnStreamClosed(kA, now_);
  Leave();
  EXPECT_THAT(Keys(ledger_->TakeRosterRemovals()), ElementsAre(kA));  // queued behind both
  Hello();
  ledger_->OnRostered(second);  // late
  EXPECT_TRUE(ledger_->NeedsRoster(kA));
  EXPECT_EQ(Ask(), LeaseOutcome::kNotRostered);
  ledger_->OnRostered(BeginWrite());
  EXPECT_EQ(Ask(), LeaseOutcome::kGranted);
}

TEST_F(LedgerFaultsTest, R16TheHoldIsOfThePredecessorsTNotOfOurs) {
  EnforcementLedger::Start start = Found();
  start.longest_lease = start.longest_lease_before = absl::Minutes(5);
  start.last_event_revision = 90;
  start.roster.emplace_back().set_validator_id("b");
  Begin(start, /*write_window=*/absl::Seconds(1));
  Pass(absl::Minutes(10) - absl::Milliseconds(1));
  EXPECT_LT(ledger_->enforced_revision(), 90);
  EXPECT_EQ(ledger_->TakeLowerLongestLease(), absl::nullopt);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(ledger_->enforced_revision(), 100);
  EXPECT_NE(ledger_->TakeLowerLongestLease(), absl::nullopt);
}

TEST_F(LedgerFaultsTest, R16ShortLeasesStillLeaveThreeSeconds) {
  EnforcementLedger::Start start = Found();
  start.longest_lease_before = absl::Milliseconds(100);
  start.last_event_revision = 90;
  start.roster.emplace_back().set_validator_id("b");
  Begin(start, /*write_window=*/absl::Milliseconds(100));
  Pass(absl::Milliseconds(3099));
  EXPECT_LT(ledger_->enforced_revision(), 90);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(ledger_->enforced_revision(), 100);
}

TEST_F(LedgerFaultsTest, R16APauseThatTheBootClockDidNotSeeStopsGrants) {
  Join();
  Pass(absl::Seconds(1), /*unseen=*/absl::Minutes(10));
  EXPECT_EQ(Ask(), LeaseOutcome::kStoreSilent);
  EXPECT_TRUE(ledger_->KeepAliveDue(now_));
  Write();
  EXPECT_EQ(Ask(), LeaseOutcome::kGranted);
  EXPECT_FALSE(ledger_->KeepAliveDue(now_));
  // A wall clock that is set back hides as much as one that is set forward shows.
  Pass(absl::Seconds(1), -absl::Seconds(1));
  EXPECT_EQ(Ask(), LeaseOutcome::kStoreSilent);
  Write();
  Pass(absl::Seconds(9), absl::Milliseconds(100));  // drift, and the time between two readings
  EXPECT_EQ(Ask(), LeaseOutcome::kGranted);
  // T counts by the clock that went further.
  Pass(kLease * 0.999 - absl::Milliseconds(9050));
  EXPECT_EQ(Ask(), LeaseOutcome::kStoreSilent);
}

TEST_F(LedgerFaultsTest, R11WhatARolledBackStoreCannotDoIsNotDue) {
  EnforcementLedger::Start start = Found();
  start.longest_lease = start.longest_lease_before = absl::Minutes(5);
  Begin(start);
  ledger_->StopGranting();
  Pass(absl::Minutes(20));
  EXPECT_EQ(ledger_->NextChange(), base::BootTime::InfiniteFuture());
}

}  // namespace
}  // namespace tollgate::service
