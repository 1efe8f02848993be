// R16: for how long after a store write the service may go on granting.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_WRITE_WINDOW_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_WRITE_WINDOW_H_

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "lease/limits.h"

namespace tollgate::service {

// Whether the last successful store write began lately enough (T, less drift) to grant on. So a
// second live process, on a stolen volume or cut from its store, soon grants nothing. Pure; not
// thread-safe.
class WriteWindow {
 public:
  // `window` is T.
  WriteWindow(absl::Duration window, double drift_bound)
      : window_(window), drift_bound_(drift_bound) {}

  // The longest T that a predecessor may have had whose leases lasted `longest_lease`; its T is not
  // stored. `own`: this process's T.
  static absl::Duration LongestBefore(absl::Duration own, absl::Duration longest_lease);

  // A store write that succeeded had begun at `started`; `wall`: by the wall clock, read just
  // before. An older write than the last one changes nothing.
  void OnWrite(base::BootTime started, absl::optional<absl::Time> wall);
  // Both clocks, read together. Where a hypervisor paused the machine, the boot clock may not tell.
  void OnClocks(base::BootTime now, absl::Time wall) { wall_ahead_ = Ahead(now, wall); }

  // No write began within T, by either clock, or the clocks disagree on how long ago the last write
  // began: nothing may be granted.
  bool Closed(base::BootTime now) const;
  // A keep-alive would be of use: a third of T has passed since the last write, or the window is
  // closed.
  bool WriteDue(base::BootTime now) const;

 private:
  // By how much the wall clock is ahead of the boot clock; only differences of it mean anything.
  static absl::Duration Ahead(base::BootTime now, absl::Time wall) {
    return wall - absl::UnixEpoch() - absl::Nanoseconds(now.nanos());
  }

  const absl::Duration window_;
  const double drift_bound_;
  base::BootTime last_write_ = base::BootTime::InfinitePast();
  absl::optional<absl::Duration> wall_ahead_at_write_;  // when the last write began
  absl::optional<absl::Duration> wall_ahead_;           // at the last OnClocks
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_WRITE_WINDOW_H_
