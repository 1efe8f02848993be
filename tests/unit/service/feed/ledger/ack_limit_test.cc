#include "service/feed/ledger/ack_limit.h"

#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

constexpr absl::Duration kA = absl::Seconds(10);
constexpr base::BootTime kStart = base::BootTime::FromNanos(1'000'000'000'000);

TEST(AckLimitTest, R6AnEventIsOverdueOnceItIsOlderThanA) {
  AckLimit limit(kA);
  limit.OnEvent(5, kStart);
  limit.OnEvent(6, kStart + absl::Seconds(1));
  limit.Advance(kStart + kA);
  EXPECT_EQ(limit.overdue(), 0);
  limit.Advance(kStart + kA + absl::Milliseconds(1));
  EXPECT_EQ(limit.overdue(), 5);
  limit.Advance(kStart + kA + absl::Milliseconds(1001));
  EXPECT_EQ(limit.overdue(), 6);
  limit.Advance(kStart + absl::Hours(1));
  EXPECT_EQ(limit.overdue(), 6) << "it stays so until somebody acknowledges more";
}

TEST(AckLimitTest, EventsCloseTogetherCountAsOne) {
  AckLimit limit(kA);
  limit.OnEvent(5, kStart);
  limit.OnEvent(6, kStart + absl::Milliseconds(9));
  limit.OnEvent(7, kStart + absl::Milliseconds(11));
  limit.Advance(kStart + kA + absl::Milliseconds(1));
  EXPECT_EQ(limit.overdue(), 6) << "a little early for the second, never late";
  limit.Advance(kStart + kA + absl::Milliseconds(12));
  EXPECT_EQ(limit.overdue(), 7);
}

}  // namespace
}  // namespace tollgate::service
