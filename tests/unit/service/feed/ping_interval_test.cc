#include "service/feed/ping_interval.h"

#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

TEST(PingIntervalFor, LengthensWithTheFleetUpToAThirdOfTheLease) {
  const absl::Duration ping = absl::Seconds(5), lease = absl::Seconds(30);
  EXPECT_EQ(PingIntervalFor(ping, lease, 0, 2000), ping);
  EXPECT_EQ(PingIntervalFor(ping, lease, 10'000, 2000), ping);
  EXPECT_EQ(PingIntervalFor(ping, lease, 14'000, 2000), absl::Seconds(7));
  EXPECT_EQ(PingIntervalFor(ping, lease, 20'000, 2000), absl::Seconds(10));
  EXPECT_EQ(PingIntervalFor(ping, lease, 1'000'000, 2000), absl::Seconds(10));
  EXPECT_EQ(PingIntervalFor(absl::Milliseconds(200), absl::Seconds(3), 1000, 2000),
            absl::Milliseconds(500));
  // Never shorter than configured, never above what a lease can bear.
  for (size_t followers : {0u, 1u, 999u, 100'000u}) {
    const absl::Duration told = PingIntervalFor(ping, absl::Seconds(15), followers, 100);
    EXPECT_EQ(told, ping) << followers;
  }
}

}  // namespace
}  // namespace tollgate::service
