#include "base/clock.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"

namespace tollgate::base {
namespace {

TEST(ClockTest, BootTimeNeverGoesBack) {
  BootTime last = SystemClock().Now();
  for (int i = 0; i < 1000; ++i) {
    const BootTime now = SystemClock().Now();
    ASSERT_LE(last, now);
    last = now;
  }
  EXPECT_GT(last.nanos(), 0);
}

TEST(ClockTest, WallClockNamesTheMoment) {
  const absl::Duration off = SystemClock().WallNow() - absl::Now();
  EXPECT_LT(absl::AbsDuration(off), absl::Seconds(5));
}

TEST(ClockTest, OnlyDifferencesMeanAnything) {
  const BootTime t = BootTime::FromNanos(1'000);
  EXPECT_EQ((t + absl::Microseconds(2)).nanos(), 3'000);
  EXPECT_EQ((t - absl::Microseconds(2)).nanos(), -1'000);
  EXPECT_EQ((t + absl::Seconds(3)) - t, absl::Seconds(3));
  EXPECT_LT(BootTime::InfinitePast(), t);
  EXPECT_LT(t, BootTime::InfiniteFuture());
}

}  // namespace
}  // namespace tollgate::base
