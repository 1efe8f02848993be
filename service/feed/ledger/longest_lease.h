// R5: the longest lease that anybody may hold, as the store says.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_LONGEST_LEASE_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_LONGEST_LEASE_H_

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "lease/limits.h"

namespace tollgate::service {

// What this process may grant, and when the store's longest lease may be lowered to that. Pure; not
// thread-safe.
class LongestLease {
 public:
  // `own`: the lease that this process grants. `durable`: what the store allows.
  LongestLease(absl::Duration own, absl::Duration durable) : own_(own), durable_(durable) {}

  // The store allowed longer leases before this process; none of them is held from `until` on.
  void LowerFrom(base::BootTime until) { lower_from_ = until; }

  // A lease of the length that this process grants is allowed: by the store and by the protocol.
  bool AllowsOwn() const;
  // The longest lease may now be stored as this, lower than what is there. Told once.
  absl::optional<absl::Duration> TakeLower(base::BootTime now);
  // When TakeLower has something to tell; InfiniteFuture: never.
  base::BootTime lower_from() const { return lower_from_; }

 private:
  const absl::Duration own_;
  const absl::Duration durable_;
  base::BootTime lower_from_ = base::BootTime::InfiniteFuture();
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_LONGEST_LEASE_H_
