// What both ends of a lease must agree on. A part of the protocol: to change one of these is to
// change what an older service or validator relies on.
#ifndef TOLLGATE_LEASE_LIMITS_H_
#define TOLLGATE_LEASE_LIMITS_H_

#include <cstddef>

#include "absl/time/time.h"

namespace tollgate::lease {

// No lease is ever longer (R5). A restored store holds everything back for as long (R17).
inline constexpr absl::Duration kLongestLease = absl::Minutes(10);

// A fail-open validator goes on for no longer after its lease has ended. The service refuses a
// Hello that asks for more, and lists the session as not covered for as long as it asked (R14).
inline constexpr absl::Duration kLongestFailOpen = absl::Hours(24);

// T of R16 is at most the longest lease of the store, or this where that is shorter: a successor
// knows the leases of its predecessor and not its T, and counts on it.
inline constexpr absl::Duration kShortestWriteWindowLimit = absl::Seconds(3);

// No call waits longer for enforcement; who needs longer asks again. The longest that enforcement
// takes with a silent validator is one lease and A, so one wait sees it through for every lease
// that is in use.
inline constexpr absl::Duration kLongestEnforcedWait = absl::Minutes(10);

// The bound on how differently two boot clocks run, as a fraction, is at most this (R1): above it
// a clock is broken, and a lease hardly shorter than its length proves nothing.
inline constexpr double kLargestDriftBound = 0.1;

// Of one incarnation, random for each process.
inline constexpr size_t kIncarnationBytes = 16;

// What one Ping may carry of evidence in `dropped`; what lies above it counts as lost.
inline constexpr int kMaxDroppedInPing = 1000;

}  // namespace tollgate::lease

#endif  // TOLLGATE_LEASE_LIMITS_H_
