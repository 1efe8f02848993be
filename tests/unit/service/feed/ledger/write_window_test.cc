#include "service/feed/ledger/write_window.h"

#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

constexpr absl::Duration kT = absl::Seconds(30);
constexpr base::BootTime kStart = base::BootTime::FromNanos(1'000'000'000'000);
constexpr absl::Time kWall = absl::FromUnixSeconds(1'700'000'000);

TEST(WriteWindowTest, R16ClosedBeforeTheFirstWriteAndFromTOnLessDrift) {
  WriteWindow window(kT, 0.001);
  EXPECT_TRUE(window.Closed(kStart));
  window.OnWrite(kStart, absl::nullopt);
  EXPECT_FALSE(window.Closed(kStart + kT * 0.998));
  EXPECT_TRUE(window.Closed(kStart + kT * 0.999));
  window.OnWrite(kStart - absl::Seconds(1), absl::nullopt);  // an older write, told late
  EXPECT_FALSE(window.Closed(kStart + kT * 0.998));
}

TEST(WriteWindowTest, AKeepAliveIsDueAThirdOfTAfterTheLastWrite) {
  WriteWindow window(kT, 0.001);
  window.OnWrite(kStart, absl::nullopt);
  EXPECT_FALSE(window.WriteDue(kStart + kT / 3));
  EXPECT_TRUE(window.WriteDue(kStart + kT / 3 + absl::Nanoseconds(1)));
}

TEST(WriteWindowTest, R16APauseThatTheBootClockDidNotSeeClosesIt) {
  WriteWindow window(kT, 0.001);
  window.OnWrite(kStart, kWall);
  const base::BootTime later = kStart + absl::Seconds(1);
  window.OnClocks(later, kWall + absl::Seconds(1) + absl::Milliseconds(129));
  EXPECT_FALSE(window.Closed(later)) << "drift, and the time between two readings";
  window.OnClocks(later, kWall + absl::Seconds(1) + absl::Milliseconds(131));
  EXPECT_TRUE(window.Closed(later));
  EXPECT_TRUE(window.WriteDue(later));
  window.OnClocks(later, kWall);  // set back: it may hide a pause
  EXPECT_TRUE(window.Closed(later));
  window.OnWrite(later, kWall);  // what the clocks do from here on counts
  EXPECT_FALSE(window.Closed(later));
}

TEST(WriteWindowTest, R16TCountsByTheClockThatWentFurther) {
  WriteWindow window(kT, 0.001);
  window.OnWrite(kStart, kWall);
  const base::BootTime later = kStart + kT * 0.999 - absl::Milliseconds(50);
  window.OnClocks(later, kWall + kT * 0.999 - absl::Milliseconds(50));
  EXPECT_FALSE(window.Closed(later));
  window.OnClocks(later, kWall + kT * 0.999 + absl::Milliseconds(50));
  EXPECT_TRUE(window.Closed(later));
}

TEST(WriteWindowTest, R16OfAPredecessorNothingIsKnownButItsLongestLease) {
  EXPECT_EQ(WriteWindow::LongestBefore(absl::Seconds(1), absl::Minutes(5)), absl::Minutes(5));
  EXPECT_EQ(WriteWindow::LongestBefore(absl::Seconds(1), absl::Milliseconds(100)),
            lease::kShortestWriteWindowLimit);
  EXPECT_EQ(WriteWindow::LongestBefore(kT, absl::Seconds(10)), kT);
}

}  // namespace
}  // namespace tollgate::service
