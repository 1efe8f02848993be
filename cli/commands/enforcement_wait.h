// Waiting until a change is enforced at every edge, as --wait asks.
#ifndef TOLLGATE_CLI_COMMANDS_ENFORCEMENT_WAIT_H_
#define TOLLGATE_CLI_COMMANDS_ENFORCEMENT_WAIT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "cli/context.h"
#include "cli/interrupt.h"
#include "tollgate/v1/enforcement.pb.h"

namespace tollgate::cli {

// What is waited for.
struct WaitGoal {
  int64_t revision = 0;
  std::string epoch;   // "": that of the first answer
  std::string token;   // of whose admissions the receipt tells; "": of none
  bool holds = false;  // also until nothing is open any more that the revision ended
  absl::Duration at_most;
  absl::Time started;  // the wait is counted from here
  // A service that is away is asked again until the time has passed.
  bool patient = true;
};

enum class WaitEnd {
  kDone,
  kHoldsOpen,    // enforced, and not all holds are closed
  kNotEnforced,  // the time has passed, or nobody could be asked: see `failure`
  kInterrupted,  // by Ctrl-C
};

// Waits, and tells on standard output how it stands, where a person reads. Fills `receipt` with the
// newest one, which may be none; `failure`: the error of the last question, or OK. `interrupt` may
// be older than the wait: a signal that came before it ends it at once.
WaitEnd WaitForEnforcement(Context& context, Interrupt& interrupt, const WaitGoal& goal,
                           tollgate::v1::Receipt* receipt, absl::Status* failure);

// Waits for a change that is made already: whatever becomes of the wait is reported, sets the exit
// code to kNotYetEnforced where it is not done, and is no error of the change. `done` as in
// "revoked", for "It stays revoked": what stands, and how to go on.
WaitEnd WaitAfterChange(Context& context, Interrupt& interrupt, const WaitGoal& goal,
                        absl::string_view done, tollgate::v1::Receipt* receipt);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_ENFORCEMENT_WAIT_H_
