// The lease and the service's time, as the hot path reads them.
#ifndef TOLLGATE_VALIDATOR_CORE_EDGE_CLOCK_H_
#define TOLLGATE_VALIDATOR_CORE_EDGE_CLOCK_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "lease/span.h"

namespace tollgate::validator {

// What the lease allows a decision at one moment.
enum class LeaseState {
  kLive,      // admit
  kFailOpen,  // run out, but within the time of a fail-open validator: admit, and count it
  kNone,      // never granted, run out, the clocks disagree, closed by Goodbye, or wiped by a fork
};

// Holds the present lease and the service's time. One writer at a time (the caller locks). Readers
// are wait-free, take no lock and make no system call. The page in which it lies is wiped in a
// forked child: a child has no stream, so no event would reach it, and it must not admit on its
// parent's lease.
class EdgeClock {
 public:
  // `drift_bound`: as a fraction, 0 to 0.1. `fail_open_for`: zero is fail-closed.
  // FAILED_PRECONDITION where the kernel cannot wipe a page on fork.
  static absl::StatusOr<std::unique_ptr<EdgeClock>> Create(double drift_bound,
                                                           absl::Duration fail_open_for);
  ~EdgeClock();
  EdgeClock(const EdgeClock&) = delete;
  EdgeClock& operator=(const EdgeClock&) = delete;

  // One consistent reading; cheap to copy.
  struct Reading {
    int64_t ping_boot_ns = 0;
    int64_t ping_wall_ns = 0;
    int64_t lease_ns = 0;  // 0: none
    int64_t drift_ns = 0;
    int64_t service_ns = 0;  // service wall clock at service_boot_ns; 0: not heard yet
    int64_t service_boot_ns = 0;
  };

  // One consistent reading. Wait-free, unless a writer laps the reader (64 writes during one
  // reading). A reader that loses that race 8 times sees no lease: unavailable, never a wrong
  // admission.
  Reading Read() const;
  // Judges a reading by both local clocks, which the caller must have read *before* Read() (R13).
  LeaseState StateAt(const Reading& reading, base::BootTime now, absl::Time wall_now) const;
  // The service's time at `now`: the time that the last Pong carried, advanced since its receipt by
  // the boot clock less the drift bound. It is therefore never ahead of the real one (R18, I7).
  // InfinitePast when no Pong has come yet: nothing has expired then.
  absl::Time ServiceTimeAt(const Reading& reading, base::BootTime now) const;

  // How long before `now` the lease that was taken last was asked for, whatever became of it;
  // nullopt: none was taken.
  static absl::optional<absl::Duration> LastLeaseAge(const Reading& reading, base::BootTime now);

  // Takes the lease where it ends later than the present one, or where the present one is no longer
  // live; otherwise keeps the present one. Returns whether it took the lease. Keeping the longer
  // lease is right because the ledger's life is the maximum of all that it granted to this
  // incarnation (R3). Replacing a dead lease is right because a dead lease admits nothing, however
  // long it had to run.
  bool Renew(const lease::HeldLease& lease, base::BootTime now, absl::Time wall_now);
  // Whether the clocks' disagreement alone has ended the present lease. StateAt sees the
  // disagreement too, but stays wait-free and so keeps no state: when a clock steps and is set back
  // between two calls of EndLive's caller, the lease ends only for as long as the clock is wrong.
  bool ClocksDisagree(base::BootTime now, absl::Time wall_now) const;
  // Ends the present lease: it is never kLive again. Its fail-open time goes on.
  void EndLive();
  // Forgets the lease, fail-open time included: after a new epoch, or a store that was rolled back.
  void EndLease();
  // Forgets the lease for good: no later Renew has any effect (R4).
  void Close();
  // Takes `service_time`, which a Pong carried that came at `now`, `round_trip` after its ping
  // (R18). The newest time wins, even where it sets the time back, because a service is right about
  // its own clock. A step back of no more than the round trip may be only this Pong's delay, and
  // would admit again what was called expired; the later estimate is kept then.
  void SetServiceTime(absl::Time service_time, absl::Duration round_trip, base::BootTime now);

 private:
  struct Page;
  EdgeClock(double drift_bound, absl::Duration fail_open_for, Page* page);
  static bool LocalClocksAgree(const Reading& r, int64_t boot_elapsed, int64_t wall_elapsed);
  void Publish(const Reading& reading);

  const double drift_bound_;
  const absl::Duration fail_open_for_;
  Page* const page_;
  bool closed_ = false;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_EDGE_CLOCK_H_
