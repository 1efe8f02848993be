#include "lease/span.h"

#include <limits>

#include "gtest/gtest.h"
#include "lease/limits.h"

namespace tollgate::lease {
namespace {

const base::BootTime kPing = base::BootTime::FromNanos(5'000'000'000);
const absl::Time kWall = absl::FromUnixSeconds(1'800'000'000);

TEST(LeaseSpanTest, TheServicesViewOutlastsTheValidators) {
  // The pong is sent at the moment of the ping at the earliest, and the validator's clock is as
  // slow as the bound allows: what it counts as t has really lasted t / (1 - drift) at most, so it
  // must stop within the service's span.
  for (const double drift : {0.0, 0.001, 0.05, 0.1}) {
    for (const absl::Duration lease : {absl::Seconds(1), absl::Seconds(30), kLongestLease}) {
      const HeldLease held = HoldFrom(kPing, kWall, lease, drift);
      const absl::Duration counted = held.until() - kPing;
      const absl::Duration really = counted / (1 - drift);
      EXPECT_LE(really, CountedUntil(kPing, lease) - kPing + absl::Nanoseconds(2)) << lease;
      EXPECT_EQ(held.ping_wall, kWall);
    }
  }
}

TEST(LeaseSpanTest, AMoreGenerousPongIsHeldToTheLongestLease) {
  const HeldLease held = HoldFrom(kPing, kWall, kLongestLease * 2, 0);
  EXPECT_EQ(held.lease, kLongestLease);
  EXPECT_EQ(held.until() - kPing, kLongestLease);
}

TEST(LeaseSpanTest, DriftBound) {
  EXPECT_TRUE(IsDriftBound(0));
  EXPECT_TRUE(IsDriftBound(kLargestDriftBound));
  EXPECT_FALSE(IsDriftBound(-0.001));
  EXPECT_FALSE(IsDriftBound(kLargestDriftBound + 0.001));
  EXPECT_FALSE(IsDriftBound(std::numeric_limits<double>::quiet_NaN()));
}

TEST(LeaseSpanTest, ClocksAgreeToWithinDriftAndTheMomentBetweenTwoReadings) {
  const int64_t drift = 30'000'000;
  const int64_t second = 1'000'000'000;
  EXPECT_TRUE(ClocksAgree(10 * second, 10 * second, 0));
  EXPECT_TRUE(ClocksAgree(10 * second, 10 * second + drift + 1'000'000, drift));
  EXPECT_FALSE(ClocksAgree(10 * second, 10 * second + drift + 1'000'001, drift));
  EXPECT_TRUE(ClocksAgree(10 * second + drift + 1'000'000, 10 * second, drift));
  EXPECT_FALSE(ClocksAgree(10 * second + drift + 1'000'001, 10 * second, drift));
  EXPECT_FALSE(ClocksAgree(10 * second, -10 * second, drift));
}

TEST(LeaseSpanTest, WhatTheServiceAllowsForAnothersClockIsLongerAndForItsOwnShorter) {
  EXPECT_EQ(UncoveredFor(absl::Seconds(1000), 0.001), absl::Seconds(1001));
  EXPECT_EQ(OwnWriteWindow(absl::Seconds(1000), 0.001), absl::Seconds(999));
  EXPECT_EQ(DriftOver(absl::Seconds(30), 0.001), absl::Milliseconds(30));
}

TEST(LeaseSpanTest, AGainBeyondDriftAndSlackIsASteppedClock) {
  const absl::Duration window = absl::Seconds(30);
  EXPECT_TRUE(GainIsDrift(absl::ZeroDuration(), window, 0.001));
  EXPECT_TRUE(GainIsDrift(absl::Milliseconds(130), window, 0.001));
  EXPECT_TRUE(GainIsDrift(-absl::Milliseconds(130), window, 0.001));
  EXPECT_FALSE(GainIsDrift(absl::Milliseconds(131), window, 0.001));
  EXPECT_FALSE(GainIsDrift(-absl::Milliseconds(131), window, 0.001));
}

}  // namespace
}  // namespace tollgate::lease
