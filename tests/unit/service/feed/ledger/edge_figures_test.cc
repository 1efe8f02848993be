#include "service/feed/ledger/edge_figures.h"

#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

class EdgeFiguresTest : public ::testing::Test {
 protected:
  void Ping(int64_t decisions, int64_t cached_tokens = 0) {
    v1::Ping ping;
    ping.set_decisions(decisions);
    ping.set_cached_tokens(cached_tokens);
    figures_.OnPing(ping, now_);
  }
  void Pass(absl::Duration d) { now_ = now_ + d; }

  base::BootTime now_ = base::BootTime::FromNanos(1'000'000'000'000);
  EdgeFigures figures_;
};

TEST_F(EdgeFiguresTest, IsHeardByAnyWordOfIt) {
  EXPECT_EQ(figures_.heard(), absl::nullopt);
  figures_.OnHello(now_);
  EXPECT_EQ(figures_.heard(), now_);
  Pass(absl::Seconds(1));
  Ping(1, 7);
  EXPECT_EQ(figures_.heard(), now_);
  EXPECT_EQ(figures_.cached_tokens(), 7);
}

TEST_F(EdgeFiguresTest, RateIsOverASecondAtLeast) {
  Ping(0);
  Pass(absl::Seconds(5));
  Ping(500);
  EXPECT_EQ(figures_.decisions_per_second(), 100);
  Pass(absl::Milliseconds(10));  // an acknowledgement, at once after an event
  Ping(600);
  EXPECT_EQ(figures_.decisions_per_second(), 100);
  EXPECT_EQ(figures_.decisions(), 600);
  Pass(absl::Milliseconds(1990));
  Ping(900);
  EXPECT_EQ(figures_.decisions_per_second(), 200);
  Pass(absl::Seconds(1));
  Ping(0);
  EXPECT_EQ(figures_.decisions_per_second(), 0) << "a count that falls is no rate";
}

TEST_F(EdgeFiguresTest, OpenHoldsAreThoseOfTheLastPingWithinBounds) {
  const auto ping = [this](int64_t open) {
    v1::Ping said;
    said.set_open_holds(open);
    figures_.OnPing(said, now_);
    return figures_.open_holds();
  };
  EXPECT_EQ(figures_.open_holds(), 0);
  EXPECT_EQ(ping(300), 300);
  EXPECT_EQ(ping(2), 2);
  EXPECT_EQ(ping(-1), 0);
  EXPECT_EQ(ping(INT64_MAX), int64_t{1} << 40) << "so that a fleet's sum is a number";
}

TEST_F(EdgeFiguresTest, CountsBelowZeroAreNone) {
  Ping(INT64_MIN, -1);
  Pass(absl::Seconds(2));
  Ping(INT64_MAX, -1);
  Pass(absl::Seconds(2));
  Ping(INT64_MIN, -1);
  EXPECT_EQ(figures_.decisions(), 0);
  EXPECT_EQ(figures_.cached_tokens(), 0);
  EXPECT_EQ(figures_.decisions_per_second(), 0);
}

}  // namespace
}  // namespace tollgate::service
