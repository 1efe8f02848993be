// R1's arithmetic: for how long a lease runs, as each of its two ends counts it.
//
//   validator   ping sent                             lease ends here
//               |-------- lease - lease x drift --------|
//   service            pong sent                               and here
//                      |-------------- lease -------------------|
//
// The validator counts from the moment it sent the ping, read before the write. The service counts
// from the moment it sent the pong, read after the ping arrived. The service's view begins later,
// and is longer by what the two clocks may drift apart, so it always outlasts the validator's. Each
// end counts on its own boot clock, and no reading travels.
#ifndef TOLLGATE_LEASE_SPAN_H_
#define TOLLGATE_LEASE_SPAN_H_

#include <cstdint>

#include "absl/time/time.h"
#include "base/clock.h"

namespace tollgate::lease {

// Whether `drift_bound` is usable: a fraction from 0 to kLargestDriftBound, and not NaN.
bool IsDriftBound(double drift_bound);

// How far two boot clocks may drift apart in `span`, as either of them counts the span.
absl::Duration DriftOver(absl::Duration span, double drift_bound);

// A lease as the validator holds it.
struct HeldLease {
  base::BootTime ping_boot;  // when the ping was sent, before its write
  absl::Time ping_wall;      // the same moment by the wall clock, which may only shorten a lease
  absl::Duration lease;      // as the Pong gave it
  absl::Duration drift;      // DriftOver(lease)

  // The end of the lease: the validator admits nothing from here on.
  base::BootTime until() const { return ping_boot + (lease - drift); }
};
// The lease at the validator's end: `lease` is what the Pong to the ping sent at `ping_boot` gave,
// and is cut to kLongestLease.
HeldLease HoldFrom(base::BootTime ping_boot, absl::Time ping_wall, absl::Duration lease,
                   double drift_bound);

// The lease at the service's end: the session counts as a possible holder until then, where the
// Pong is sent at `pong_boot`.
inline base::BootTime CountedUntil(base::BootTime pong_boot, absl::Duration lease) {
  return pong_boot + lease;
}

// Whether a validator's two local clocks agree. Since the ping the boot clock has moved on by
// `boot_ns` and the wall clock by `wall_ns`; the two may differ by `drift_ns`, and by the time that
// passes between two readings. On a machine that was resumed from a snapshot they disagree, and the
// lease has ended, because the machine cannot know how long it was away (R1). In nanoseconds,
// because the hot path asks.
inline bool ClocksAgree(int64_t boot_ns, int64_t wall_ns, int64_t drift_ns) {
  constexpr int64_t kBetweenReadingsNs = 1'000'000;
  const int64_t apart = wall_ns > boot_ns ? wall_ns - boot_ns : boot_ns - wall_ns;
  return apart <= drift_ns + kBetweenReadingsNs;
}

// Fail-open time at the service's end: how long, by the service's clock, a validator whose lease
// has run out may go on when its own clock counts `fail_open_for` (R14).
absl::Duration UncoveredFor(absl::Duration fail_open_for, double drift_bound);

// T of R16 as the granting process counts it by its own clock, which may be slow: grants stop this
// long after the start of the last store write.
absl::Duration OwnWriteWindow(absl::Duration write_window, double drift_bound);

// ClocksAgree's question, asked at the service: whether what the service's wall clock has gained on
// (or lost to) its boot clock since the last store write, `gained`, is explained by drift within T
// and by a clock that is being disciplined.
bool GainIsDrift(absl::Duration gained, absl::Duration write_window, double drift_bound);

}  // namespace tollgate::lease

#endif  // TOLLGATE_LEASE_SPAN_H_
