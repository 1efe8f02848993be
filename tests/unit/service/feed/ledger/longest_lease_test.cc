#include "service/feed/ledger/longest_lease.h"

#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

constexpr base::BootTime kStart = base::BootTime::FromNanos(1'000'000'000'000);

TEST(LongestLeaseTest, R5NothingLongerThanTheStoreOrTheProtocolAllows) {
  EXPECT_TRUE(LongestLease(absl::Seconds(30), absl::Seconds(30)).AllowsOwn());
  EXPECT_FALSE(LongestLease(absl::Seconds(30), absl::Seconds(29)).AllowsOwn());
  EXPECT_TRUE(LongestLease(lease::kLongestLease, lease::kLongestLease).AllowsOwn());
  EXPECT_FALSE(LongestLease(lease::kLongestLease + absl::Seconds(1), absl::Hours(1)).AllowsOwn());
}

TEST(LongestLeaseTest, R5IsLoweredOnceAndOnlyWhenNothingLongerIsHeld) {
  LongestLease longest(absl::Seconds(30), absl::Minutes(2));
  EXPECT_EQ(longest.lower_from(), base::BootTime::InfiniteFuture());
  EXPECT_EQ(longest.TakeLower(kStart + absl::Hours(1)), absl::nullopt) << "nobody said when";
  longest.LowerFrom(kStart);
  EXPECT_EQ(longest.lower_from(), kStart);
  EXPECT_EQ(longest.TakeLower(kStart - absl::Nanoseconds(1)), absl::nullopt);
  EXPECT_EQ(longest.TakeLower(kStart), absl::optional<absl::Duration>(absl::Seconds(30)));
  EXPECT_EQ(longest.TakeLower(kStart), absl::nullopt);
}

}  // namespace
}  // namespace tollgate::service
