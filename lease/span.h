// R1's arithmetic: for how long a lease runs, as each of its two ends counts it.
//
//   validator   ping sent                             lease ends here
//               |-------- lease - lease x drift --------|
//   service            pong sent                               and here
//                      |-------------- lease -------------------|
//
// The validator counts from when it sent the ping, taken before the write; the service from when
// it sent the pong, taken after the ping was read. So the service's view begins later, and is
// longer by what the two clocks may drift apart: it always outlasts the validator's. Each counts on
// its own boot clock, and no reading travels.
#ifndef TOLLGATE_LEASE_SPAN_H_
#define TOLLGATE_LEASE_SPAN_H_

#include <cstdint>

#include "absl/time/time.h"
#include "base/clock.h"

namespace tollgate::lease {

// Whether `drift_bound` can be used at all: a fraction from 0 to kLargestDriftBound; no NaN.
bool IsDriftBound(double drift_bound);

// What two boot clocks may drift apart in `span` as either of them counts it.
absl::Duration DriftOver(absl::Duration span, double drift_bound);

// A lease as the validator holds it.
struct HeldLease {
  base::BootTime ping_boot;  // when the ping was sent, before its write
  absl::Time ping_wall;      // the same moment by the wall clock, which may only shorten a lease
  absl::Duration lease;      // as the Pong gave it
  absl::Duration drift;      // DriftOver(lease)

  // The validator admits nothing from here on.
  base::BootTime until() const { return ping_boot + (lease - drift); }
};
// The validator's end: the Pong to the ping that was sent at `ping_boot` gave `lease`. A lease
// above kLongestLease is one of kLongestLease.
HeldLease HoldFrom(base::BootTime ping_boot, absl::Time ping_wall, absl::Duration lease,
                   double drift_bound);

// The service's end: until when the session may hold a lease whose Pong is sent at `pong_boot`.
inline base::BootTime CountedUntil(base::BootTime pong_boot, absl::Duration lease) {
  return pong_boot + lease;
}

// Whether a validator's two local clocks agree: since the ping the boot clock has moved on by
// `boot_ns` and the wall clock by `wall_ns`, and `drift_ns` is what they may be apart, beside what
// passes between two readings. On a machine that was resumed from a snapshot they do not: it cannot
// know how long it was away, so its lease has ended (R1). In nanoseconds, for the hot path asks.
inline bool ClocksAgree(int64_t boot_ns, int64_t wall_ns, int64_t drift_ns) {
  constexpr int64_t kBetweenReadingsNs = 1'000'000;
  const int64_t apart = wall_ns > boot_ns ? wall_ns - boot_ns : boot_ns - wall_ns;
  return apart <= drift_ns + kBetweenReadingsNs;
}

// The service's end of fail-open time: for how long, by the service's clock, a validator whose
// lease has run out may go on when it was given `fail_open_for` by its own (R14).
absl::Duration UncoveredFor(absl::Duration fail_open_for, double drift_bound);

// T of R16 as the granting process counts it by its own clock, which may be slow: grants stop so
// long after the start of the last store write.
absl::Duration OwnWriteWindow(absl::Duration write_window, double drift_bound);

// The same doubt as ClocksAgree, at the service: whether its wall clock has gained (or lost)
// `gained` on its boot clock since the last store write for no better reason than drift within T
// and a clock that is being disciplined.
bool GainIsDrift(absl::Duration gained, absl::Duration write_window, double drift_bound);

}  // namespace tollgate::lease

#endif  // TOLLGATE_LEASE_SPAN_H_
