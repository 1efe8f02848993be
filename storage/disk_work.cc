#include "storage/disk_work.h"

#include <algorithm>

namespace tollgate::storage {
namespace {

// Where this thread looks for a free slot first: one that it has to itself, as a rule.
uint32_t OwnSlot() {
  static std::atomic<uint32_t> threads{0};
  thread_local const uint32_t own = threads.fetch_add(1, std::memory_order_relaxed);
  return own;
}

// What this thread is at.
thread_local DiskStep* innermost = nullptr;

}  // namespace

const DiskJob* DiskWork::Job(DiskJobKind kind, const std::string& doing, const std::string& place) {
  absl::MutexLock lock(&mu_);
  for (const DiskJob& job : jobs_) {
    if (job.kind == kind && job.doing == doing && job.place == place) return &job;
  }
  return &jobs_.emplace_back(DiskJob{kind, doing, place});
}

uint32_t DiskWork::Begin(const DiskJob* job) {
  const int64_t now = std::max<int64_t>(clock_->Now().nanos(), 1);
  const uint32_t first = OwnSlot();
  for (uint32_t i = 0; i < kMost; ++i) {
    const uint32_t at = (first + i) % kMost;
    int64_t free = 0;
    if (slots_[at].since.compare_exchange_strong(free, now, std::memory_order_acquire)) {
      slots_[at].job.store(job, std::memory_order_release);
      return at;
    }
  }
  return kMost;
}

void DiskWork::End(uint32_t slot) {
  if (slot == kMost) return;
  slots_[slot].job.store(nullptr, std::memory_order_relaxed);
  slots_[slot].since.store(0, std::memory_order_release);
}

DiskStep::DiskStep(DiskWork* work, const DiskJob* job) : work_(work), job_(job) {
  if (work_ == nullptr) return;
  outer_ = innermost;
  innermost = this;
  if (outer_ != nullptr) outer_->work_->End(outer_->slot_);
  slot_ = work_->Begin(job_);
}

DiskStep::~DiskStep() {
  if (work_ == nullptr) return;
  work_->End(slot_);
  innermost = outer_;
  if (outer_ != nullptr) outer_->slot_ = outer_->work_->Begin(outer_->job_);
}

std::vector<DiskWorkUnderWay> DiskWork::UnderWay() const {
  std::vector<DiskWorkUnderWay> found;
  for (uint32_t at = 0; at < kMost; ++at) {
    // A slot that is taken anew in between shows its newer piece, or one that is younger than it
    // is: never an older one.
    const DiskJob* const job = slots_[at].job.load(std::memory_order_acquire);
    const int64_t since = slots_[at].since.load(std::memory_order_acquire);
    if (job != nullptr && since != 0) {
      found.push_back({job, base::BootTime::FromNanos(since), at});
    }
  }
  return found;
}

}  // namespace tollgate::storage
