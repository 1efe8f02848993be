#include "storage/disk_work.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::storage {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class SetClock : public base::Clock {
 public:
  base::BootTime Now() const override {
    return base::BootTime::FromNanos(now_.load(std::memory_order_relaxed));
  }
  absl::Time WallNow() const override { return absl::UnixEpoch(); }
  void Advance() { now_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> now_{1000};
};

TEST(DiskWorkTest, TellsWhatIsUnderWaySinceWhen) {
  SetClock clock;
  DiskWork work(&clock);
  const DiskJob* const job = work.Job(DiskJobKind::kWrite, "a commit", "/data");
  EXPECT_EQ(work.Job(DiskJobKind::kWrite, "a commit", "/data"), job);
  EXPECT_NE(work.Job(DiskJobKind::kRead, "a commit", "/data"), job);
  EXPECT_THAT(work.UnderWay(), IsEmpty());
  {
    const DiskStep step(&work, job);
    clock.Advance();
    std::thread([&] {
      const DiskStep second(&work, job);
      const std::vector<DiskWorkUnderWay> found = work.UnderWay();
      ASSERT_THAT(found, SizeIs(2));
      EXPECT_EQ(found[0].job, job);
      EXPECT_NE(found[0].slot, found[1].slot);
      EXPECT_EQ(std::min(found[0].since, found[1].since), base::BootTime::FromNanos(1000));
      EXPECT_EQ(std::max(found[0].since, found[1].since), base::BootTime::FromNanos(1001));
    }).join();
  }
  EXPECT_THAT(work.UnderWay(), IsEmpty());
}

TEST(DiskWorkTest, AThreadWaitsForTheInnermost) {
  SetClock clock;
  DiskWork work(&clock);
  const DiskJob* const outer = work.Job(DiskJobKind::kWrite, "a commit", "/data");
  const DiskJob* const inner = work.Job(DiskJobKind::kWrite, "a mark", "/other");
  {
    const DiskStep commit(&work, outer);
    const DiskStep unwatched(nullptr, nullptr);
    clock.Advance();
    {
      const DiskStep mark(&work, inner);
      ASSERT_THAT(work.UnderWay(), SizeIs(1));
      EXPECT_EQ(work.UnderWay()[0].job, inner);
      clock.Advance();
    }
    ASSERT_THAT(work.UnderWay(), SizeIs(1));
    EXPECT_EQ(work.UnderWay()[0].job, outer);
    EXPECT_EQ(work.UnderWay()[0].since, base::BootTime::FromNanos(1002)) << "begun anew";
  }
  EXPECT_THAT(work.UnderWay(), IsEmpty());
}

TEST(DiskWorkTest, NobodyNeedWatch) {
  const WatchedJob unwatched;
  const DiskStep step = unwatched.Step();
}

TEST(DiskWorkTest, MoreThanItCanTellOfGoesOnUnseen) {
  SetClock clock;
  DiskWork work(&clock);
  const DiskJob* const job = work.Job(DiskJobKind::kRead, "a read", "/data");
  constexpr int kThreads = DiskWork::kMost + 10;
  absl::BlockingCounter begun(kThreads);
  absl::Notification seen;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      const DiskStep step(&work, job);
      begun.DecrementCount();
      seen.WaitForNotification();
    });
  }
  begun.Wait();
  EXPECT_THAT(work.UnderWay(), SizeIs(DiskWork::kMost));
  seen.Notify();
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(work.UnderWay(), IsEmpty());
}

TEST(DiskWorkTest, NeverTellsOfAPieceAsOlderThanItIs) {
  SetClock clock;
  DiskWork work(&clock);
  const DiskJob* const job = work.Job(DiskJobKind::kRead, "a read", "/data");
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
  workers.reserve(4);
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([&] {
      while (!stop.load(std::memory_order_relaxed)) {
        const DiskStep step(&work, job);
        clock.Advance();
      }
    });
  }
  for (int i = 0; i < 20'000; ++i) {
    const base::BootTime now = clock.Now();
    for (const DiskWorkUnderWay& piece : work.UnderWay()) {
      ASSERT_EQ(piece.job, job);
      ASSERT_GE(piece.since, base::BootTime::FromNanos(1000));
    }
    ASSERT_GE(clock.Now(), now);
  }
  stop.store(true);
  for (std::thread& worker : workers) worker.join();
  EXPECT_THAT(work.UnderWay(), IsEmpty());
}

}  // namespace
}  // namespace tollgate::storage
