#include "service/feed/ledger/enforced_frontier.h"

#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

constexpr base::BootTime kStart = base::BootTime::FromNanos(1'000'000'000'000);

TEST(EnforcedFrontierTest, R14WhereNobodyHoldsALeaseTheHeadIsEnforced) {
  EnforcedFrontier frontier(100, 90, kStart, 1000);
  EXPECT_EQ(frontier.enforced(), 0);
  frontier.Declare(absl::nullopt);
  EXPECT_EQ(frontier.enforced(), 100);
  EXPECT_FALSE(frontier.OnRevision(100, true, kStart));
  EXPECT_TRUE(frontier.OnRevision(101, true, kStart));
  frontier.Declare(absl::nullopt);
  EXPECT_EQ(frontier.enforced(), 101);
}

TEST(EnforcedFrontierTest, R14WaitsForTheLeastThatAHolderHasAcknowledged) {
  EnforcedFrontier frontier(100, 90, kStart, 1000);
  frontier.Declare(50);
  EXPECT_EQ(frontier.enforced(), 50) << "below the last event every revision counts";
  frontier.Declare(90);
  EXPECT_EQ(frontier.enforced(), 100) << "no events above";
  frontier.OnRevision(101, /*has_events=*/false, kStart);
  frontier.OnRevision(102, /*has_events=*/true, kStart);
  frontier.OnRevision(103, /*has_events=*/false, kStart);
  frontier.Declare(90);
  EXPECT_EQ(frontier.enforced(), 101);
  frontier.Declare(102);
  EXPECT_EQ(frontier.enforced(), 103);
}

TEST(EnforcedFrontierTest, R9WhatIsDeclaredNeverFalls) {
  EnforcedFrontier frontier(100, 0, kStart, 1000);
  frontier.OnRevision(101, true, kStart);
  frontier.Declare(absl::nullopt);
  EXPECT_EQ(frontier.enforced(), 101);
  frontier.Declare(100);  // granted since, at 101; it has acknowledged less so far
  EXPECT_EQ(frontier.enforced(), 101);
}

TEST(EnforcedFrontierTest, R9TheFloorOfGrantsIsTheDurableHeadAtFirst) {
  EnforcedFrontier frontier(100, 90, kStart, 1000);
  EXPECT_EQ(frontier.grant_floor(), 100) << "a predecessor may have declared it";
  frontier.Declare(0);
  EXPECT_EQ(frontier.grant_floor(), 100);
  frontier.OnRevision(101, true, kStart);
  frontier.Declare(absl::nullopt);
  EXPECT_EQ(frontier.grant_floor(), 101);
}

TEST(EnforcedFrontierTest, R17NothingIsDeclaredBeforeTheHoldHasPassed) {
  EnforcedFrontier frontier(100, 0, kStart, 1000);
  frontier.HoldUntil(kStart + absl::Minutes(10));
  frontier.Declare(absl::nullopt);
  EXPECT_EQ(frontier.enforced(), 0);
  EXPECT_FALSE(frontier.Advance(kStart + absl::Minutes(10) - absl::Nanoseconds(1)));
  EXPECT_EQ(frontier.held_until(), kStart + absl::Minutes(10));
  EXPECT_FALSE(frontier.TakeHoldEnd());
  EXPECT_TRUE(frontier.Advance(kStart + absl::Minutes(10)));
  EXPECT_EQ(frontier.held_until(), absl::nullopt);
  frontier.Declare(absl::nullopt);
  EXPECT_EQ(frontier.enforced(), 100);
  EXPECT_TRUE(frontier.TakeHoldEnd());
  EXPECT_FALSE(frontier.TakeHoldEnd());
  EXPECT_FALSE(frontier.Advance(kStart + absl::Hours(1)));
}

TEST(EnforcedFrontierTest, R11OfARolledBackStoreNothingMoreIsDeclared) {
  EnforcedFrontier frontier(100, 0, kStart, 1000);
  frontier.StopRolledBack();
  frontier.Declare(absl::nullopt);
  EXPECT_EQ(frontier.enforced(), 0);
  EXPECT_TRUE(frontier.stopped());
}

TEST(EnforcedFrontierTest, MoreEventsThanCanBeToldApartAskForMoreNeverForLess) {
  EnforcedFrontier frontier(0, 0, kStart, /*max_events=*/10);
  for (int64_t r = 1; r <= 100; ++r) {
    frontier.OnRevision(r, r % 2 == 0, kStart);
    frontier.Declare(0);
  }
  EXPECT_EQ(frontier.enforced(), 1);
  for (int64_t r = 0; r <= 100; ++r) {
    frontier.Declare(r);
    EXPECT_LE(frontier.enforced(), r + 1);
    EXPECT_GE(frontier.enforced(), r);
  }
  EXPECT_EQ(frontier.enforced(), 100);
}

}  // namespace
}  // namespace tollgate::service
