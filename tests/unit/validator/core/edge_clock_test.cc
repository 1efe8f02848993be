#include "validator/core/edge_clock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "gtest/gtest.h"
#include "tests/unit/validator/core/edge_fixture.h"

namespace tollgate::validator {
namespace {

class EdgeClockTest : public ::testing::Test {
 protected:
  void Make(absl::Duration fail_open_for = absl::ZeroDuration()) {
    auto made = EdgeClock::Create(0.001, fail_open_for);
    ASSERT_TRUE(made.ok()) << made.status();
    edge_ = std::move(*made);
  }
  lease::HeldLease LeaseOf(absl::Duration length) {
    return lease::HeldLease{clock_.Now(), clock_.WallNow(), length, length * 0.001};
  }
  bool Take(const lease::HeldLease& lease) {
    return edge_->Renew(lease, clock_.Now(), clock_.WallNow());
  }
  LeaseState State() { return edge_->StateAt(edge_->Read(), clock_.Now(), clock_.WallNow()); }

  HandClock clock_;
  std::unique_ptr<EdgeClock> edge_;
};

TEST_F(EdgeClockTest, NothingIsHeldAtFirst) {
  Make(absl::Hours(1));
  EXPECT_EQ(State(), LeaseState::kNone);
  EXPECT_EQ(edge_->ServiceTimeAt(edge_->Read(), clock_.Now()), absl::InfinitePast());
}

TEST_F(EdgeClockTest, RunsFromThePingLessTheDrift) {  // R1
  Make();
  const lease::HeldLease lease = LeaseOf(absl::Seconds(30));
  clock_.Advance(absl::Seconds(10));  // the Pong was slow: that time is gone
  ASSERT_TRUE(Take(lease));
  clock_.Advance(absl::Milliseconds(19969));
  EXPECT_EQ(State(), LeaseState::kLive);
  clock_.Advance(absl::Milliseconds(1));  // 30 s less 30 ms, to the moment
  EXPECT_EQ(State(), LeaseState::kNone);
}

TEST_F(EdgeClockTest, ALeaseThatHasRunOutIsNotTaken) {
  Make();
  const lease::HeldLease lease = LeaseOf(absl::Seconds(30));
  clock_.Advance(absl::Seconds(31));
  EXPECT_FALSE(Take(lease));
}

TEST_F(EdgeClockTest, NothingLongerThanTheProtocolsLimitIsBelieved) {  // R5
  Make();
  ASSERT_TRUE(Take(LeaseOf(absl::Hours(5))));
  clock_.Advance(absl::Minutes(10));
  EXPECT_EQ(State(), LeaseState::kNone);
}

TEST_F(EdgeClockTest, AShorterLaterLeaseShortensNothing) {  // R3
  Make();
  ASSERT_TRUE(Take(LeaseOf(absl::Seconds(30))));
  clock_.Advance(absl::Seconds(1));
  EXPECT_FALSE(Take(LeaseOf(absl::Seconds(5))));
  clock_.Advance(absl::Seconds(20));
  EXPECT_EQ(State(), LeaseState::kLive);
}

TEST_F(EdgeClockTest, EndsWhenTheClocksDisagree) {  // R1
  for (const int sign : {1, -1}) {
    Make();
    ASSERT_TRUE(Take(LeaseOf(absl::Seconds(30))));
    clock_.StepWall(sign * absl::Milliseconds(20));
    EXPECT_EQ(State(), LeaseState::kLive);
    clock_.StepWall(sign * absl::Milliseconds(20));
    EXPECT_EQ(State(), LeaseState::kNone) << sign;
    // A lease from before the step is as dead, one from after it replaces the dead one though
    // shorter.
    EXPECT_TRUE(Take(LeaseOf(absl::Seconds(5))));
    EXPECT_EQ(State(), LeaseState::kLive);
  }
}

TEST_F(EdgeClockTest, FailOpenHasALongestTime) {
  Make(absl::Seconds(60));
  ASSERT_TRUE(Take(LeaseOf(absl::Seconds(30))));
  clock_.Advance(absl::Seconds(31));
  EXPECT_EQ(State(), LeaseState::kFailOpen);
  clock_.Advance(absl::Milliseconds(58969));
  EXPECT_EQ(State(), LeaseState::kFailOpen);
  clock_.Advance(absl::Milliseconds(2));
  EXPECT_EQ(State(), LeaseState::kNone);
}

TEST_F(EdgeClockTest, FailOpenEndsByWhicheverClockWentFurther) {
  Make(absl::Seconds(60));
  ASSERT_TRUE(Take(LeaseOf(absl::Seconds(30))));
  clock_.StepWall(absl::Seconds(89));
  EXPECT_EQ(State(), LeaseState::kFailOpen);
  clock_.StepWall(absl::Seconds(2));
  EXPECT_EQ(State(), LeaseState::kNone);
}

TEST_F(EdgeClockTest, ClosedForGood) {  // R4
  Make(absl::Hours(1));
  ASSERT_TRUE(Take(LeaseOf(absl::Seconds(30))));
  edge_->Close();
  EXPECT_EQ(State(), LeaseState::kNone);
  EXPECT_FALSE(Take(LeaseOf(absl::Seconds(30))));
  EXPECT_EQ(State(), LeaseState::kNone);
}

TEST_F(EdgeClockTest, EndLeaseEndsFailOpenTimeToo) {
  Make(absl::Hours(1));
  ASSERT_TRUE(Take(LeaseOf(absl::Seconds(30))));
  edge_->EndLease();
  EXPECT_EQ(State(), LeaseState::kNone);
  EXPECT_TRUE(Take(LeaseOf(absl::Seconds(30))));
}

TEST_F(EdgeClockTest, ServiceTimeIsNeverAhead) {  // R18, I7
  Make();
  const absl::Time service = absl::FromUnixSeconds(1'000'000'000);
  edge_->SetServiceTime(service, absl::ZeroDuration(), clock_.Now());
  const auto reading = edge_->Read();
  EXPECT_EQ(edge_->ServiceTimeAt(reading, clock_.Now()), service);
  clock_.StepWall(absl::Hours(10));  // our own wall clock decides nothing
  EXPECT_EQ(edge_->ServiceTimeAt(reading, clock_.Now()), service);
  EXPECT_EQ(edge_->ServiceTimeAt(reading, clock_.Now() + absl::Seconds(1000)),
            service + absl::Seconds(999));
}

TEST_F(EdgeClockTest, APongsDelaySetsNothingBackAServicesClockDoes) {  // R18
  Make();
  const absl::Time service = absl::FromUnixSeconds(1'000'000'000);
  const auto now = [&] { return edge_->ServiceTimeAt(edge_->Read(), clock_.Now()); };
  edge_->SetServiceTime(service, absl::Milliseconds(1), clock_.Now());
  clock_.Advance(absl::Seconds(5));
  const absl::Time later = now();
  // Written 3 s ago, and its round trip says that it may be.
  edge_->SetServiceTime(service + absl::Seconds(2), absl::Seconds(3), clock_.Now());
  EXPECT_EQ(now(), later);
  edge_->SetServiceTime(service + absl::Seconds(2), absl::InfiniteDuration(), clock_.Now());
  EXPECT_EQ(now(), later);
  // More than its delay can explain.
  edge_->SetServiceTime(service + absl::Seconds(2), absl::Seconds(1), clock_.Now());
  EXPECT_EQ(now(), service + absl::Seconds(2));
  edge_->SetServiceTime(service + absl::Seconds(9), absl::InfiniteDuration(), clock_.Now());
  EXPECT_EQ(now(), service + absl::Seconds(9));
}

TEST_F(EdgeClockTest, ALeaseThatEndedForGoodKeepsItsFailOpenTime) {
  Make(absl::Seconds(60));
  EXPECT_FALSE(edge_->ClocksDisagree(clock_.Now(), clock_.WallNow()));
  ASSERT_TRUE(Take(LeaseOf(absl::Seconds(30))));
  EXPECT_FALSE(edge_->ClocksDisagree(clock_.Now(), clock_.WallNow()));
  clock_.StepWall(absl::Seconds(1));
  EXPECT_TRUE(edge_->ClocksDisagree(clock_.Now(), clock_.WallNow()));
  edge_->EndLive();
  clock_.StepWall(-absl::Seconds(1));
  EXPECT_EQ(State(), LeaseState::kFailOpen);
  EXPECT_FALSE(edge_->ClocksDisagree(clock_.Now(), clock_.WallNow()));
  clock_.Advance(absl::Seconds(60));
  EXPECT_EQ(State(), LeaseState::kNone);
  EXPECT_TRUE(Take(LeaseOf(absl::Seconds(5))));
  EXPECT_EQ(State(), LeaseState::kLive);
}

TEST_F(EdgeClockTest, AForkedChildHasNoLease) {
  Make(absl::Hours(1));
  ASSERT_TRUE(Take(LeaseOf(absl::Seconds(30))));
  ASSERT_EQ(State(), LeaseState::kLive);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(State() == LeaseState::kNone ? 7 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(State(), LeaseState::kLive);
}

TEST_F(EdgeClockTest, ReadersSeeWholeLeases) {
  Make();
  std::atomic<bool> stop{false};
  std::atomic<int64_t> torn{0};
  std::thread reader([&] {
    while (!stop.load()) {
      const auto r = edge_->Read();
      // Every lease below has length == ping_boot and service == ping_boot.
      if (r.lease_ns != 0 && r.lease_ns != r.ping_boot_ns) ++torn;
    }
  });
  for (int64_t i = 1; i <= 200000; ++i) {
    const lease::HeldLease lease{base::BootTime::FromNanos(i), absl::FromUnixNanos(i),
                                 absl::Nanoseconds(i), absl::ZeroDuration()};
    edge_->Renew(lease, base::BootTime::FromNanos(i), absl::FromUnixNanos(i));
  }
  stop = true;
  reader.join();
  EXPECT_EQ(torn.load(), 0);
}

TEST_F(EdgeClockTest, RefusesOptionsOutOfRange) {
  EXPECT_FALSE(EdgeClock::Create(-0.1, absl::ZeroDuration()).ok());
  EXPECT_FALSE(EdgeClock::Create(0.2, absl::ZeroDuration()).ok());
  EXPECT_FALSE(EdgeClock::Create(0.001, -absl::Seconds(1)).ok());
  EXPECT_FALSE(EdgeClock::Create(0.001, absl::InfiniteDuration()).ok());
}

}  // namespace
}  // namespace tollgate::validator
