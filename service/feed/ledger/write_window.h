// R16: how long after a store write the service may go on granting.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_WRITE_WINDOW_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_WRITE_WINDOW_H_

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "lease/limits.h"

namespace tollgate::service {

// Whether the last successful store write began within T, less drift, so that granting may go on. A
// second live process, on a stolen volume or cut from its store, thereby soon grants nothing. Pure;
// not thread-safe.
class WriteWindow {
 public:
  // `window` is T.
  WriteWindow(absl::Duration window, double drift_bound)
      : window_(window), drift_bound_(drift_bound) {}

  // The longest T that a predecessor may have had whose leases lasted `longest_lease`, because the
  // store does not hold its T. `own`: this process's T.
  static absl::Duration LongestBefore(absl::Duration own, absl::Duration longest_lease);

  // A successful store write began at `started`; `wall` is the wall clock read just before. A write
  // older than the last one changes nothing.
  void OnWrite(base::BootTime started, absl::optional<absl::Time> wall);
  // Both clocks, read together: where a hypervisor paused the machine, the boot clock may not show
  // it.
  void OnClocks(base::BootTime now, absl::Time wall) { wall_ahead_ = Ahead(now, wall); }

  // Nothing may be granted: the last write began longer than T ago by either clock, or the clocks
  // disagree on how long ago it began.
  bool Closed(base::BootTime now) const;
  // A keep-alive is useful: a third of T has passed since the last write, or the window is closed.
  bool WriteDue(base::BootTime now) const;

 private:
  // How far the wall clock is ahead of the boot clock. Only differences of this value mean
  // anything.
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
