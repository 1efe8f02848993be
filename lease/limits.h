// The limits that both ends of a lease must agree on. They are part of the protocol: changing one
// changes what an older service or validator relies on.
#ifndef TOLLGATE_LEASE_LIMITS_H_
#define TOLLGATE_LEASE_LIMITS_H_

#include <cstddef>

#include "absl/time/time.h"

namespace tollgate::lease {

// No lease is ever longer (R5). After a restore nothing is declared enforced for this long (R17).
inline constexpr absl::Duration kLongestLease = absl::Minutes(10);

// The longest time that a fail-open validator may go on after its lease has ended. The service
// refuses a Hello that asks for more, and lists the session as not covered for as long as its Hello
// asked (R14).
inline constexpr absl::Duration kLongestFailOpen = absl::Hours(24);

// The longest time that a validator may keep open past its lease's end what is held there. The
// service refuses a Hello that asks for more, and names the session in receipts that do not cover
// it for as long as its Hello asked.
inline constexpr absl::Duration kLongestHoldsPastLease = absl::Hours(24);

// T of R16 is at most the longest lease of the store, or this value where that lease is shorter. A
// successor relies on this bound, because the store tells it its predecessor's longest lease and
// not its predecessor's T.
inline constexpr absl::Duration kShortestWriteWindowLimit = absl::Seconds(3);

// The longest time that one call waits for enforcement; a caller that needs longer asks again.
// Enforcement takes at most one lease and A, with a silent validator, so one wait is long enough
// for every lease in use.
inline constexpr absl::Duration kLongestEnforcedWait = absl::Minutes(10);

// The largest allowed bound on how differently two boot clocks run, as a fraction (R1). Above it a
// clock is broken, and a lease proves nothing.
inline constexpr double kLargestDriftBound = 0.1;

// The length of an incarnation, which is random for each process.
inline constexpr size_t kIncarnationBytes = 16;

// The most entries of evidence that one Ping may carry in `dropped`; entries above it count as
// lost.
inline constexpr int kMaxDroppedInPing = 1000;

// The most reports of ended holds that one Ping may carry; the service reads no more.
inline constexpr int kMaxEndedHoldsInPing = 100;

// The most holders that one such report names.
inline constexpr size_t kMaxUnansweredNamed = 16;

}  // namespace tollgate::lease

#endif  // TOLLGATE_LEASE_LIMITS_H_
