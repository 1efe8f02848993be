// R5: the longest lease that any session may hold, as the store has it.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_LONGEST_LEASE_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_LONGEST_LEASE_H_

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "lease/limits.h"

namespace tollgate::service {

// Whether this process may grant its lease, and when the store's longest lease may be lowered to
// it. Pure; not thread-safe.
class LongestLease {
 public:
  // `own`: the length of lease that this process grants. `durable`: the longest that the store
  // allows.
  LongestLease(absl::Duration own, absl::Duration durable) : own_(own), durable_(durable) {}

  // The store allowed longer leases before this process; from `until` on no session holds one.
  void LowerFrom(base::BootTime until) { lower_from_ = until; }

  // Whether the store and the protocol allow a lease of this process's length.
  bool AllowsOwn() const;
  // The longest lease may now be stored as this lower value. Returned once.
  absl::optional<absl::Duration> TakeLower(base::BootTime now);
  // When TakeLower returns a value; InfiniteFuture: never.
  base::BootTime lower_from() const { return lower_from_; }

 private:
  const absl::Duration own_;
  const absl::Duration durable_;
  base::BootTime lower_from_ = base::BootTime::InfiniteFuture();
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_LONGEST_LEASE_H_
