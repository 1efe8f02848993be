// What is under way on the disks of a store: by it somebody else can tell that one of them hangs.
#ifndef TOLLGATE_STORAGE_DISK_WORK_H_
#define TOLLGATE_STORAGE_DISK_WORK_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "storage/disk_job.h"

namespace tollgate::storage {

// Thread-safe. To begin and to end a piece of work takes no lock.
class DiskWork {
 public:
  // So many pieces can be told of at once; what begins above that is not seen. A piece of work
  // holds a thread, and a service has fewer of those.
  static constexpr uint32_t kMost = 256;

  // `clock` outlives it.
  explicit DiskWork(const base::Clock* clock) : clock_(clock) {}
  DiskWork(const DiskWork&) = delete;
  DiskWork& operator=(const DiskWork&) = delete;

  // The job of this kind; each is made once. Never null.
  const DiskJob* Job(DiskJobKind kind, const std::string& doing, const std::string& place)
      ABSL_LOCKS_EXCLUDED(mu_);
  // All that is under way, in no order.
  std::vector<DiskWorkUnderWay> UnderWay() const;

 private:
  friend class DiskStep;
  struct alignas(64) Slot {
    std::atomic<int64_t> since{0};  // nanoseconds of the boot clock; 0: free
    std::atomic<const DiskJob*> job{nullptr};
  };
  // The slot, or kMost.
  uint32_t Begin(const DiskJob* job);
  void End(uint32_t slot);

  const base::Clock* const clock_;
  std::array<Slot, kMost> slots_;
  absl::Mutex mu_;
  std::deque<DiskJob> jobs_ ABSL_GUARDED_BY(mu_);
};

// One piece of work, for as long as it lives, on the thread that made it. Work within it is told of
// in its stead, and then it begins anew: a thread waits for one thing at a time. `work` may be
// null: nobody watches.
class DiskStep {
 public:
  DiskStep(DiskWork* work, const DiskJob* job);
  ~DiskStep();
  DiskStep(const DiskStep&) = delete;
  DiskStep& operator=(const DiskStep&) = delete;

 private:
  DiskWork* const work_;
  const DiskJob* const job_;
  DiskStep* outer_ = nullptr;  // of this thread
  uint32_t slot_ = 0;
};

// What one part of a store does to its disk, in the words of its part. Null-safe: without a
// DiskWork nobody watches.
class WatchedJob {
 public:
  WatchedJob() = default;
  WatchedJob(DiskWork* work, DiskJobKind kind, const std::string& doing, const std::string& place)
      : work_(work), job_(work == nullptr ? nullptr : work->Job(kind, doing, place)) {}
  DiskStep Step() const { return DiskStep(work_, job_); }

 private:
  DiskWork* work_ = nullptr;
  const DiskJob* job_ = nullptr;
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_DISK_WORK_H_
