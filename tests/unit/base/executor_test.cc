#include "base/executor.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "base/clock.h"

namespace tollgate::base {
namespace {

constexpr absl::Duration kLong = absl::Seconds(30);

TEST(ThreadPoolTest, RunsWhatItTook) {
  std::atomic<int> ran{0};
  {
    ThreadPool pool(4, 1000);
    for (int i = 0; i < 500; ++i) EXPECT_TRUE(pool.Submit([&ran] { ++ran; }));
  }
  EXPECT_EQ(ran, 500) << "Stop finishes what is queued";
}

TEST(ThreadPoolTest, RefusesPastItsBound) {
  ThreadPool pool(1, 2);
  absl::Notification started, go_on;
  ASSERT_TRUE(pool.Submit([&] {
    started.Notify();
    go_on.WaitForNotification();
  }));
  ASSERT_TRUE(started.WaitForNotificationWithTimeout(kLong));
  EXPECT_TRUE(pool.Submit([] {}));
  EXPECT_TRUE(pool.Submit([] {}));
  EXPECT_FALSE(pool.Submit([] {}));
  go_on.Notify();
}

TEST(ThreadPoolTest, TakesNothingOnceStopped) {
  ThreadPool pool(2, 10);
  pool.Stop();
  pool.Stop();
  EXPECT_FALSE(pool.Submit([] { ADD_FAILURE(); }));
  pool.After(absl::ZeroDuration(), [] { ADD_FAILURE(); });
}

TEST(ThreadPoolTest, TimersRunInTheirOrderAndNotBefore) {
  ThreadPool pool(1, 10);
  absl::Mutex mu;
  std::vector<int> order;
  const BootTime start = SystemClock().Now();
  BootTime second;
  absl::Notification done;
  pool.After(absl::Milliseconds(40), [&] {
    absl::MutexLock lock(&mu);
    order.push_back(2);
    second = SystemClock().Now();
    done.Notify();
  });
  pool.After(absl::Milliseconds(1), [&] {
    absl::MutexLock lock(&mu);
    order.push_back(1);
  });
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kLong));
  absl::MutexLock lock(&mu);
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_GE(second - start, absl::Milliseconds(40));
}

// The threads of this process.
int Threads() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int count = 0;
    if (word == "Threads:" && status >> count) return count;
  }
  return 0;
}

TEST(ThreadPoolTest, AThreadForTimersIsStartedByTheFirst) {
  // A child: threads that other tests have joined may still be on their way out.
  const pid_t child = fork();
  if (child == 0) {
    const int before = Threads();
    ThreadPool pool(2, 10);
    if (Threads() != before + 2) _exit(1);
    absl::Notification ran;
    pool.After(absl::ZeroDuration(), [&] { ran.Notify(); });
    pool.After(absl::Hours(1), [] {});
    ran.WaitForNotification();
    _exit(Threads() == before + 3 ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(ThreadPoolTest, TimersAreNotCountedInTheBound) {
  ThreadPool pool(1, 1);
  std::atomic<int> ran{0};
  absl::Notification done;
  for (int i = 0; i < 20; ++i) {
    pool.After(absl::ZeroDuration(), [&] {
      if (++ran == 20) done.Notify();
    });
  }
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(kLong));
}

TEST(ThreadPoolTest, StopDropsTimersAndWhatTheyHold) {
  auto held = std::make_shared<int>(0);
  ThreadPool pool(1, 1);
  pool.After(absl::InfiniteDuration(), [held] { ADD_FAILURE(); });
  pool.After(absl::Hours(1), [held] { ADD_FAILURE(); });
  EXPECT_EQ(held.use_count(), 3);
  pool.Stop();
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace tollgate::base
