#include "base/clock.h"

#include <time.h>

#include "base/invariant.h"

namespace tollgate::base {
namespace {

int64_t ReadNanos(clockid_t id) {
  struct timespec ts;
  // Fails only for a clock that the kernel does not know; no lease can be measured without the
  // clock.
  const int failed = clock_gettime(id, &ts);
  TOLLGATE_INVARIANT(failed == 0, "the kernel knows the boot clock and the wall clock");
  return int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

class MachineClock : public Clock {
 public:
  BootTime Now() const override { return BootTime::FromNanos(ReadNanos(CLOCK_BOOTTIME)); }
  // Not absl::Now(): it smooths over a cycle counter of its own, and may be behind for a moment
  // after a resume.
  absl::Time WallNow() const override { return absl::FromUnixNanos(ReadNanos(CLOCK_REALTIME)); }
};

}  // namespace

const Clock& SystemClock() {
  static const MachineClock* const clock = new MachineClock;
  return *clock;
}

}  // namespace tollgate::base
