// The fleet as an operator sees it: how each session stands, and whether somebody should look.
// Pure.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_FLEET_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_FLEET_H_

#include <map>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "service/feed/ledger/enforcement.h"
#include "tollgate/v1/operations_service.pb.h"

namespace tollgate::service {

// A healthy validator acknowledges within milliseconds and is granted its first lease as fast: one
// that is pending or joining for longer is worth a look.
inline constexpr absl::Duration kSlowAfter = absl::Seconds(1);
// A stream that has reached its age is closed and comes back within about a second.
inline constexpr absl::Duration kAwayAfter = absl::Seconds(3);
// For so long a lapsed session is shown whose validator never came back.
inline constexpr absl::Duration kLapsedShownFor = absl::Hours(24);

// How one session stands.
tollgate::v1::ValidatorState StateOf(const SessionView& session);

// Whether somebody should look at it.
bool IsProblem(const SessionView& session);

// What of all sessions known is the fleet: those that may admit or are about to; and of those that
// admit nothing any more the newest of each validator that has no other, where it is to be shown
// at all (a lapsed one for kLapsedShownFor, a released one with `include_released`). A crashed
// validator that was started again is thus listed once, and one that left for good not at all.
// Keeps the order, in which the sessions of one validator lie side by side.
std::vector<SessionView> FleetOf(std::vector<SessionView> sessions, bool include_released);

// `in_sync`, `pending`, …: for metrics.
absl::string_view ValidatorStateName(tollgate::v1::ValidatorState state);

// How many sessions of a fleet are in each state; every state that is shown has an entry.
std::map<tollgate::v1::ValidatorState, int> CountStates(const std::vector<SessionView>& fleet);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_FLEET_H_
