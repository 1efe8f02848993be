// The lease and the service's time, as the hot path reads them.
#ifndef TOLLGATE_VALIDATOR_CORE_EDGE_CLOCK_H_
#define TOLLGATE_VALIDATOR_CORE_EDGE_CLOCK_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "lease/span.h"

namespace tollgate::validator {

// What a decision is allowed by, at one moment.
enum class LeaseState {
  kLive,      // admit
  kFailOpen,  // run out, but inside the longest time of a fail-open validator: admit, and count it
  kNone,      // never granted, run out, the clocks disagree, closed by Goodbye, or wiped by a fork
};

// Holds the present lease and the service's wall clock. One writer at a time (the caller locks);
// readers are wait-free, take no lock and make no system call. It lies in a page of its own that a
// forked child finds wiped: a child has no stream, so no event would reach it, and it must not
// admit on its parent's lease.
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

  // Wait-free but for a writer that laps the reader (64 writes during one reading). A reader that
  // loses that race 8 times sees no lease: unavailable, never a wrong admit.
  Reading Read() const;
  // Judges a reading against both local clocks, which the caller read *before* Read() (R13).
  LeaseState StateAt(const Reading& reading, base::BootTime now, absl::Time wall_now) const;
  // The service's wall clock at `now`: as carried in the last Pong, advanced since its receipt by
  // the boot clock less the drift bound, so never ahead of the real one (R18, I7).
  // InfinitePast when no Pong has come yet: then nothing has expired.
  absl::Time ServiceTimeAt(const Reading& reading, base::BootTime now) const;

  // Takes the lease where it ends later than the present one, or where the present one is no longer
  // live; else keeps the present one. Keeping the longer is right because the ledger's life is the
  // maximum of all it granted to this incarnation (R3); taking it over a dead one is right because
  // what is dead admits nothing, however long it had to run. True where it was taken.
  bool Renew(const lease::HeldLease& lease, base::BootTime now, absl::Time wall_now);
  // Whether the present lease, were it not for its age, is ended by the clocks' disagreement.
  // StateAt sees that too, but keeps no state, so as to stay wait-free: a clock that steps and is
  // set back between two calls of EndLive's caller ends a lease only for as long as it is wrong.
  bool ClocksDisagree(base::BootTime now, absl::Time wall_now) const;
  // The present lease is never kLive again; its fail-open time goes on.
  void EndLive();
  // Forgets the lease, fail-open time included: a new epoch, a store that went back.
  void EndLease();
  // R4: forgets the lease for good; no later Renew has any effect.
  void Close();
  // A Pong received at `now`, `round_trip` after its ping, carried `service_time` (R18). The newest
  // wins, also where it sets the time back: a service is right about its own clock. But a step back
  // of no more than the round trip may be nothing but this Pong's delay, and would admit again what
  // was called expired: then the later estimate is kept.
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
