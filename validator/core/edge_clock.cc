#include "validator/core/edge_clock.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include "absl/strings/str_cat.h"
#include "base/mutation.h"
#include "base/status.h"
#include "lease/limits.h"

namespace tollgate::validator {
namespace {

constexpr size_t kSlots = 64;

}  // namespace

// Each publication takes the next slot, so a reader meets a writer only when the writer laps it.
struct EdgeClock::Page {
  struct Slot {
    std::atomic<uint64_t> sequence;  // 2n: holds publication n; odd: being written
    std::atomic<int64_t> words[6];
  };
  std::atomic<uint64_t> published;  // 0: nothing yet, or wiped by a fork
  Slot slots[kSlots];
};

absl::StatusOr<std::unique_ptr<EdgeClock>> EdgeClock::Create(double drift_bound,
                                                             absl::Duration fail_open_for) {
  if (!lease::IsDriftBound(drift_bound)) {
    return base::RefuseField("OUT_OF_RANGE", "drift_bound", "must be 0 to 0.1");
  }
  if (fail_open_for < absl::ZeroDuration() || fail_open_for > lease::kLongestFailOpen) {
    return base::RefuseField("OUT_OF_RANGE", "fail_open_for", "must be above 0, and at most 24h");
  }
  const size_t size = (sizeof(Page) + 4095) / 4096 * 4096;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return base::Refuse(
        absl::StatusCode::kResourceExhausted, "NO_MEMORY",
        absl::StrCat("a page for the lease cannot be mapped: ", std::strerror(errno)));
  }
  if (madvise(memory, size, MADV_WIPEONFORK) != 0) {
    const int error = errno;
    munmap(memory, size);
    return base::Refuse(
        absl::StatusCode::kFailedPrecondition, "NO_WIPE_ON_FORK",
        absl::StrCat("the kernel cannot wipe a page on fork (Linux 4.14 can), so a forked "
                     "child could admit on its parent's lease: ",
                     std::strerror(error)));
  }
  Page* page = new (memory) Page();  // value-initialised: nothing is published
  return std::unique_ptr<EdgeClock>(new EdgeClock(drift_bound, fail_open_for, page));
}

EdgeClock::EdgeClock(double drift_bound, absl::Duration fail_open_for, Page* page)
    : drift_bound_(drift_bound), fail_open_for_(fail_open_for), page_(page) {}

EdgeClock::~EdgeClock() { munmap(page_, (sizeof(Page) + 4095) / 4096 * 4096); }

EdgeClock::Reading EdgeClock::Read() const {
  for (int attempt = 0; attempt < 8; ++attempt) {
    const uint64_t n = page_->published.load(std::memory_order_acquire);
    if (n == 0) return Reading();
    const Page::Slot& slot = page_->slots[n % kSlots];
    if (slot.sequence.load(std::memory_order_acquire) != 2 * n) continue;
    Reading r;
    r.ping_boot_ns = slot.words[0].load(std::memory_order_acquire);
    r.ping_wall_ns = slot.words[1].load(std::memory_order_acquire);
    r.lease_ns = slot.words[2].load(std::memory_order_acquire);
    r.drift_ns = slot.words[3].load(std::memory_order_acquire);
    r.service_ns = slot.words[4].load(std::memory_order_acquire);
    r.service_boot_ns = slot.words[5].load(std::memory_order_acquire);
    if (slot.sequence.load(std::memory_order_relaxed) == 2 * n) return r;
  }
  return Reading();
}

void EdgeClock::Publish(const Reading& r) {
  const uint64_t n = page_->published.load(std::memory_order_relaxed) + 1;
  Page::Slot& slot = page_->slots[n % kSlots];
  // Odd first: each release store below keeps the odd sequence before it, for a reader that sees
  // that store.
  slot.sequence.store(2 * n - 1, std::memory_order_relaxed);
  slot.words[0].store(r.ping_boot_ns, std::memory_order_release);
  slot.words[1].store(r.ping_wall_ns, std::memory_order_release);
  slot.words[2].store(r.lease_ns, std::memory_order_release);
  slot.words[3].store(r.drift_ns, std::memory_order_release);
  slot.words[4].store(r.service_ns, std::memory_order_release);
  slot.words[5].store(r.service_boot_ns, std::memory_order_release);
  slot.sequence.store(2 * n, std::memory_order_release);
  page_->published.store(n, std::memory_order_release);
}

// R1: when the clocks are more than the drift bound apart since the ping, one of them is wrong. A
// virtual machine that was resumed from a snapshot does not know how long it was away.
bool EdgeClock::LocalClocksAgree(const Reading& r, int64_t boot_elapsed, int64_t wall_elapsed) {
  return lease::ClocksAgree(boot_elapsed, wall_elapsed, r.drift_ns) ||
         TOLLGATE_MUTATED("r1_wall_clock_ignored");
}

LeaseState EdgeClock::StateAt(const Reading& r, base::BootTime now, absl::Time wall_now) const {
  if (r.lease_ns <= 0) return LeaseState::kNone;
  const int64_t boot_elapsed = now.nanos() - r.ping_boot_ns;
  const int64_t wall_elapsed = absl::ToUnixNanos(wall_now) - r.ping_wall_ns;
  const int64_t lease = r.lease_ns - r.drift_ns;
  if (LocalClocksAgree(r, boot_elapsed, wall_elapsed) && boot_elapsed >= 0 && boot_elapsed < lease)
    return LeaseState::kLive;
  const int64_t longest = std::max(boot_elapsed, wall_elapsed);
  if (fail_open_for_ > absl::ZeroDuration() && boot_elapsed >= 0 &&
      longest < lease + absl::ToInt64Nanoseconds(fail_open_for_)) {
    return LeaseState::kFailOpen;
  }
  return LeaseState::kNone;
}

absl::Time EdgeClock::ServiceTimeAt(const Reading& r, base::BootTime now) const {
  if (r.service_ns == 0) return absl::InfinitePast();
  const int64_t elapsed = now.nanos() - r.service_boot_ns;
  const int64_t drift = elapsed > 0 && !TOLLGATE_MUTATED("r18_drift_forgotten")
                            ? static_cast<int64_t>(static_cast<double>(elapsed) * drift_bound_)
                            : 0;
  return absl::FromUnixNanos(r.service_ns + elapsed - drift);
}

absl::optional<absl::Duration> EdgeClock::LastLeaseAge(const Reading& reading, base::BootTime now) {
  if (reading.ping_boot_ns == 0) return absl::nullopt;
  return absl::Nanoseconds(now.nanos() - reading.ping_boot_ns);
}

bool EdgeClock::Renew(const lease::HeldLease& lease, base::BootTime now, absl::Time wall_now) {
  if (closed_ || lease.lease <= absl::ZeroDuration()) return false;
  const Reading present = Read();
  Reading next = present;
  next.ping_boot_ns = lease.ping_boot.nanos();
  next.ping_wall_ns = absl::ToUnixNanos(lease.ping_wall);
  next.lease_ns = absl::ToInt64Nanoseconds(std::min(lease.lease, lease::kLongestLease));
  next.drift_ns = absl::ToInt64Nanoseconds(lease.drift);
  if (StateAt(next, now, wall_now) != LeaseState::kLive) return false;
  const int64_t next_until = next.ping_boot_ns + next.lease_ns - next.drift_ns;
  const int64_t present_until = present.ping_boot_ns + present.lease_ns - present.drift_ns;
  if (StateAt(present, now, wall_now) == LeaseState::kLive && next_until <= present_until) {
    return false;
  }
  Publish(next);
  return true;
}

bool EdgeClock::ClocksDisagree(base::BootTime now, absl::Time wall_now) const {
  const Reading r = Read();
  return r.lease_ns > r.drift_ns && !LocalClocksAgree(r, now.nanos() - r.ping_boot_ns,
                                                      absl::ToUnixNanos(wall_now) - r.ping_wall_ns);
}

void EdgeClock::EndLive() {
  Reading next = Read();
  next.drift_ns = next.lease_ns;  // live for no time at all; fail-open time runs from the ping
  Publish(next);
}

void EdgeClock::EndLease() {
  Reading next = Read();
  next.lease_ns = 0;
  Publish(next);
}

void EdgeClock::Close() {
  closed_ = true;
  EndLease();
}

void EdgeClock::SetServiceTime(absl::Time service_time, absl::Duration round_trip,
                               base::BootTime now) {
  Reading next = Read();
  if (next.service_ns != 0) {
    const absl::Duration back = ServiceTimeAt(next, now) - service_time;
    if (back > absl::ZeroDuration() && back <= round_trip) return;
  }
  next.service_ns = absl::ToUnixNanos(service_time);
  next.service_boot_ns = now.nanos();
  Publish(next);
}

}  // namespace tollgate::validator
