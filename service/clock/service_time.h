// R20: what time the service goes by, as a pure state machine.
//
//     kNone ── the wall clock leaves the boot clock, the store's time, or most edges ──► a doubt
//       ▲                                                                                 │
//       └── it agrees again · the kernel is synchronised · most edges agree · an operator ┘
//
// Trusted, the service's time is the wall clock. In doubt it is the last trusted time, run on by
// the boot clock less the drift bound: never ahead of the true time if it was not before, so that
// nothing is ended wrongly.
#ifndef TOLLGATE_SERVICE_CLOCK_SERVICE_TIME_H_
#define TOLLGATE_SERVICE_CLOCK_SERVICE_TIME_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "tollgate/v1/operations_service.pb.h"

namespace tollgate::service {

// Both clocks, read together.
struct ClockReading {
  base::BootTime boot;
  absl::Time wall;
};

// What ended a doubt.
enum class ClockTrust {
  kAgreesAgain,  // the wall clock lies where it may be expected to
  kKernel,       // the kernel says that its clock is synchronised
  kEdges,        // most live edges agree with it
  kOperator,     // AcceptClock
};
// "kernel", …: for the audit log and for people.
absl::string_view ClockTrustName(ClockTrust trust);

// A doubt began or ended.
struct ClockChange {
  bool in_doubt = false;  // it began
  bool at_once = false;   // it ended in the moment in which it began: that is one change
  tollgate::v1::ClockDoubt doubt = tollgate::v1::CLOCK_DOUBT_UNSPECIFIED;  // which
  ClockTrust trust = ClockTrust::kAgreesAgain;                             // how it ended
  absl::Time wall;  // what the wall clock said
  // The service's time before the change, and after it: the same where a doubt begins.
  absl::Time from;
  absl::Time to;
};

// Not thread-safe. Readings come in the order of their boot times, or nearly.
class ServiceTime {
 public:
  struct Options {
    // By so much the wall clock may stray from where it is expected and be trusted.
    absl::Duration step_bound = absl::Seconds(10);
    // A service that was off for longer is not believed to have been.
    absl::Duration longest_off = absl::Hours(72);
    // How differently a boot clock may run from the wall clock, as a fraction.
    double drift_bound = 0.001;
    // An edge whose wall clock is further from this machine's contradicts it; one that is within
    // step_bound agrees.
    absl::Duration edge_bound = absl::Minutes(1);
    // What an edge has told counts for so long: the lease, so that it is of live edges.
    absl::Duration edge_life = absl::Seconds(30);
    // What the kernel calls synchronised must be what the wall clock says.
    absl::Duration kernel_bound = absl::Seconds(2);
    // How far what an operator names may be from what the wall clock says by then.
    absl::Duration accept_bound = absl::Minutes(5);
  };
  // What the store's head tells of time.
  struct Stored {
    absl::Time time;      // the service's time of the last commit
    std::string boot_id;  // of which boot `boot` is; empty: not known
    base::BootTime boot;
    bool in_doubt = false;
  };
  // A start. `stored`: nullopt where nothing was committed yet. `boot_id`: this boot's; empty: not
  // known.
  ServiceTime(const Options& options, const absl::optional<Stored>& stored,
              absl::string_view boot_id, const ClockReading& now);

  // The service's time, now: never before an answer given earlier, unless the end of a doubt has
  // set it back since. May begin a doubt, or end one.
  absl::Time Read(const ClockReading& now);
  // What the kernel says; `synchronised`: what its clock shows, nullopt where it does not call it
  // synchronised or cannot be asked.
  void OnKernel(const ClockReading& now, const absl::optional<absl::Time>& synchronised);
  // A live edge's wall clock showed `edge_wall`, a message's way before `boot`.
  void OnEdge(absl::string_view validator_id, absl::Time edge_wall, base::BootTime boot);
  // Weighs what the edges have told; to be called now and then.
  void JudgeEdges(const ClockReading& now);
  // An operator has seen the wall clock say `wall`, and trusts it. FAILED_PRECONDITION:
  // CLOCK_NOT_IN_DOUBT, CLOCK_TIME_DIFFERS. Only looks where `apply` is false.
  absl::Status Accept(const ClockReading& now, absl::Time wall, bool apply);

  tollgate::v1::ClockDoubt doubt() const { return doubt_; }
  bool in_doubt() const { return doubt_ != tollgate::v1::CLOCK_DOUBT_UNSPECIFIED; }
  base::BootTime since() const { return since_; }  // the last change
  // The end of a doubt moved the time forward, to this moment. Unset: never.
  const absl::optional<absl::Time>& jumped_to() const { return jumped_to_; }
  // What edges say that were heard lately.
  struct Edges {
    size_t told = 0;
    size_t agree = 0;       // to within step_bound
    size_t contradict = 0;  // by more than edge_bound
    absl::optional<absl::Duration> largest_difference;
  };
  // Of all that count now. `since_change`: leaves out what was told before the last change.
  Edges WeighEdges(const ClockReading& now, bool since_change = false) const;
  // Changes since the last call, in order.
  std::vector<ClockChange> TakeChanges();

 private:
  struct Edge {
    absl::Duration ahead;  // of this machine's boot clock
    base::BootTime told;
  };
  // By how much a wall clock is ahead of the boot clock; only differences of it mean anything.
  static absl::Duration Ahead(const ClockReading& now);
  // `elapsed` by the boot clock, at the least.
  absl::Duration AtLeast(absl::Duration elapsed) const;
  absl::Duration Drift(absl::Duration elapsed) const;
  absl::Time Line(base::BootTime boot) const;
  void Begin(tollgate::v1::ClockDoubt doubt, absl::Time line, base::BootTime line_boot,
             const ClockReading& now);
  void End(ClockTrust trust, const ClockReading& now);

  const Options options_;
  tollgate::v1::ClockDoubt doubt_ = tollgate::v1::CLOCK_DOUBT_UNSPECIFIED;
  base::BootTime since_;
  absl::Time last_;               // the latest answer
  base::BootTime last_boot_;      // of the latest reading
  absl::Duration ahead_;          // where the wall clock is expected, less the boot clock
  absl::Time line_;               // in doubt: the last trusted time
  base::BootTime line_boot_;      // and when that was
  bool kernel_lapsed_ = false;    // in doubt: the kernel's clock was not synchronised at a time
  bool edges_overruled_ = false;  // an operator trusts this machine more than most edges
  absl::optional<absl::Time> jumped_to_;
  std::map<std::string, Edge, std::less<>> edges_;
  std::vector<ClockChange> changes_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_CLOCK_SERVICE_TIME_H_
