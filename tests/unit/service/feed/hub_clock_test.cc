// The hub where clocks step and machines pause.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "absl/synchronization/notification.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/feed/enforcement_desk.h"
#include "tests/unit/service/feed/hub_fixture.h"

namespace {
// While set, what the process reads of the wall clock is so far ahead of the kernel's: a deadline
// taken from it looks to the kernel as after a step back of the wall clock.
std::atomic<int64_t> wall_ahead_seconds{0};
}  // namespace

// In place of the C library's, for this test's program.
extern "C" int clock_gettime(clockid_t id, struct timespec* time) noexcept {
  const long result = syscall(SYS_clock_gettime, id, time);
  if (result == 0 && id == CLOCK_REALTIME) time->tv_sec += wall_ahead_seconds.load();
  return static_cast<int>(result);
}

namespace tollgate::service {
namespace {

// Waits without absl, whose waits the step moves.
class Signal {
 public:
  void Set() {
    std::lock_guard<std::mutex> lock(mu_);
    set_ = true;
    changed_.notify_all();
  }
  bool Await(std::chrono::seconds limit) {
    std::unique_lock<std::mutex> lock(mu_);
    return changed_.wait_until(lock, std::chrono::steady_clock::now() + limit,
                               [this] { return set_; });
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  bool set_ = false;
};

class HubClockTest : public HubTest {
 protected:
  void TearDown() override {
    wall_ahead_seconds = 0;
    HubTest::TearDown();
  }
  // So that the timer has come round once more.
  void AwaitTick() {
    for (int i = 0; i < 2; ++i) Wait(hub_->head() + 1'000'000, absl::Milliseconds(1));
  }
};

TEST_F(HubClockTest, AMissingValidatorIsRememberedOverARestartUntilItIsForgotten) {
  StopService();
  options_.lease = absl::Seconds(15);
  StartService();
  Validator a = Join("a");
  const auto forget = [&](const std::string& id) {
    absl::Notification done;
    absl::StatusOr<storage::Committed> result;
    hub_->ForgetValidator({id, "", "spiffe://ops"}, [&](absl::StatusOr<storage::Committed> got) {
      result = std::move(got);
      done.Notify();
    });
    done.WaitForNotification();
    return result.ok() ? std::string("forgotten") : base::ReasonOf(result.status());
  };
  const auto missing = [&] {
    size_t count = 0;
    for (const SessionView& view : hub_->Sessions()) count += view.missing;
    return count;
  };
  EXPECT_EQ(forget("a"), "VALIDATOR_MAY_ADMIT");
  a.call->Lose();
  clock_.MoveBoot(absl::Seconds(16));
  clock_.MoveWall(absl::Seconds(16));
  ASSERT_TRUE(Eventually([&] {
    AwaitTick();
    return RosterSize(/*lapsed=*/true) == 1;
  }));
  EXPECT_EQ(RosterSize(), 0u);
  StopService();
  StartService();
  EXPECT_EQ(missing(), 1u);
  const int64_t r = Commit();
  EXPECT_EQ(Wait(r).state(), v1::ENFORCEMENT_STATE_ENFORCED) << "nobody is waited for";
  EXPECT_EQ(Wait(r).missing_count(), 1);
  EXPECT_EQ(forget("a"), "forgotten");
  EXPECT_EQ(forget("a"), "VALIDATOR_UNKNOWN");
  EXPECT_EQ(missing(), 0u);
  EXPECT_EQ(RosterSize(/*lapsed=*/true), 0u);
  // It comes back all the same, and is in the roster like any other (R15).
  Validator again = Join("a");
  EXPECT_EQ(RosterSize(), 1u);
}

TEST_F(HubClockTest, R15OneThatOutlivesItsLeaseAndComesBackAtOnceStaysInTheRoster) {
  StopService();
  options_.lease = absl::Seconds(15);
  StartService();
  Validator a = Join("a");
  EXPECT_EQ(RosterSize(), 1u);
  // It is stopped for longer than its lease; its stream stays open.
  clock_.MoveBoot(absl::Seconds(16));
  clock_.MoveWall(absl::Seconds(16));
  ASSERT_TRUE(Eventually([&] { return hub_->stats().live_sessions == 0; }));
  EXPECT_EQ(RosterSize(), 1u);
  a.call->Lose();  // it wakes, and gives the stream up
  Reconnect(&a);
  Hello(&a);
  EXPECT_TRUE(PingPong(&a).has_lease());
  AwaitTick();
  EXPECT_TRUE(PingPong(&a).has_lease());
  ASSERT_TRUE(sequencer_->Run(std::make_shared<KeepAlive>()).ok());  // behind what was queued
  EXPECT_EQ(RosterSize(), 1u);
  StopService();
  StartService();
  EXPECT_EQ(Wait(Commit(), absl::Milliseconds(1)).state(), v1::ENFORCEMENT_STATE_PENDING);
}

TEST_F(HubClockTest, R16AfterAPauseAPingIsAnsweredWithALease) {
  Validator a = Join("a");
  clock_.MoveBoot(absl::Minutes(1));
  clock_.MoveWall(absl::Minutes(1));
  EXPECT_TRUE(PingPong(&a).has_lease());
}

TEST_F(HubClockTest, R16AfterAPauseThatOnlyTheWallClockSawAKeepAliveComesFirst) {
  Validator a = Join("a");
  const int64_t head = hub_->head();
  clock_.MoveWall(absl::Hours(1));
  EXPECT_TRUE(PingPong(&a).has_lease());
  EXPECT_GT(hub_->head(), head);
}

TEST_F(HubClockTest, AWallClockThatIsSetBackStallsNoTimer) {
  wall_ahead_seconds = 3600;
  StopService();
  StartService();
  Signal answered;
  hub_->WaitEnforced({hub_->head() + 1, "", ""}, absl::Milliseconds(50),
                     [&](v1::Receipt) { answered.Set(); });
  EXPECT_TRUE(answered.Await(std::chrono::seconds(10)));
  if (!HasFailure()) return;
  hub_->Stop();  // answers it
}

TEST_F(HubClockTest, AWallClockThatIsSetBackStallsNoDrain) {
  Validator a = Join("a");
  a.call->Stall();
  Ping(&a);  // from here on it reads nothing
  wall_ahead_seconds = 3600;
  Signal drained;
  std::thread drain([&] {
    hub_->Drain(absl::Milliseconds(50));
    drained.Set();
  });
  EXPECT_TRUE(drained.Await(std::chrono::seconds(10)));
  a.call->Lose();
  drain.join();
}

TEST_F(HubClockTest, WaitersAreBounded) {
  const int64_t never = hub_->head() + 1'000'000;
  std::atomic<size_t> answered{0};
  for (size_t i = 0; i < EnforcementDesk::kMaxWaiting; ++i) {
    hub_->WaitEnforced({never, "", ""}, absl::Minutes(5), [&](v1::Receipt) { ++answered; });
  }
  EXPECT_EQ(answered.load(), 0u);
  // One too many: the receipt as it stands.
  hub_->WaitEnforced({never, "", ""}, absl::Minutes(5), [&](v1::Receipt) { ++answered; });
  EXPECT_EQ(answered.load(), 1u);
  EXPECT_EQ(hub_->stats().waiting, static_cast<int64_t>(EnforcementDesk::kMaxWaiting));
  hub_->Stop();
  EXPECT_EQ(answered.load(), EnforcementDesk::kMaxWaiting + 1);
}

}  // namespace
}  // namespace tollgate::service
