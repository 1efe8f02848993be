// The service's clock, as everything in the service has it: R20's state machine with a lock around
// it, and the machine's clocks beneath.
#ifndef TOLLGATE_SERVICE_CLOCK_SERVICE_CLOCK_H_
#define TOLLGATE_SERVICE_CLOCK_SERVICE_CLOCK_H_

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "service/clock/kernel_clock.h"
#include "service/clock/service_time.h"
#include "storage/engine.h"
#include "storage/sequencer.h"

namespace tollgate::service {

// What the head of a store tells of time; nullopt where nothing was committed yet. Errors: the
// store's.
absl::StatusOr<absl::optional<ServiceTime::Stored>> ReadStoredTime(const storage::View& view);

// Thread-safe. Its lock is the last of all: it may be asked with any other held.
class ServiceClock : public base::Clock {
 public:
  struct Options {
    ServiceTime::Options time;
    const base::Clock* machine = nullptr;  // outlive it
    const KernelClock* kernel = nullptr;
  };
  // A start on a store whose head says `stored`.
  ServiceClock(const Options& options, const absl::optional<ServiceTime::Stored>& stored);

  // The machine's, as they are. WallNow is for comparing (R16), never for deciding what time it is.
  base::BootTime Now() const override { return options_.machine->Now(); }
  absl::Time WallNow() const override { return options_.machine->WallNow(); }
  // The service's time.
  absl::Time ServiceNow() const override ABSL_LOCKS_EXCLUDED(mu_);
  // The same for a batch of commands.
  storage::BatchTime Batch() const ABSL_LOCKS_EXCLUDED(mu_);

  // A validator has told what its wall clock says. Moves no time.
  void OnEdgeTime(absl::string_view validator_id, absl::Time wall) ABSL_LOCKS_EXCLUDED(mu_);
  // To be called about once a second: weighs what edges and kernel say. Returns what has changed
  // since the last call, in order; it is for the caller to log and to write down.
  std::vector<ClockChange> Watch() ABSL_LOCKS_EXCLUDED(mu_);
  // As ServiceTime's, of the wall clock as it is now.
  absl::Status CheckAccept(absl::Time wall) const ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Accept(absl::Time wall) ABSL_LOCKS_EXCLUDED(mu_);

  // As it stands.
  tollgate::v1::Clock Describe() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  ServiceClock(const Options& options, const absl::optional<ServiceTime::Stored>& stored,
               const ClockReading& now);
  // Both clocks, in one moment: where the thread was stopped between the two, once more.
  ClockReading ReadBoth() const { return ReadBoth(*options_.machine); }
  static ClockReading ReadBoth(const base::Clock& machine);
  absl::Time ReadLocked(const ClockReading& now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Options options_;
  const std::string boot_id_;
  mutable absl::Mutex mu_;
  mutable ServiceTime state_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_CLOCK_SERVICE_CLOCK_H_
