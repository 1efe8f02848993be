// The fleet as an operator sees it: the state of each session, and whether somebody should look at
// it. Pure.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_FLEET_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_FLEET_H_

#include <map>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "service/feed/ledger/enforcement.h"
#include "tollgate/v1/operations_service.pb.h"

namespace tollgate::service {

// A healthy validator acknowledges within milliseconds, and gets its first lease as fast. A
// validator that is pending or joining for longer than this is worth a look.
inline constexpr absl::Duration kSlowAfter = absl::Seconds(1);
// A stream that has reached its age is closed, and its validator comes back within about a second.
inline constexpr absl::Duration kAwayAfter = absl::Seconds(3);

// The state of one session.
tollgate::v1::ValidatorState StateOf(const SessionView& session);

// Whether somebody should look at the session.
bool IsProblem(const SessionView& session);

// The sessions that make up the fleet: all that may admit or are about to; a lapsed session that
// has a stream open; the session of a missing validator (BookedSession::missing) without any of
// these; and, with `include_released`, the released sessions. So a validator that crashed and was
// started again is listed once, one that left in good order is not listed, and one that lapsed is
// until it comes back or is forgotten. `sessions` holds the sessions of one validator side by side;
// their order is kept.
std::vector<SessionView> FleetOf(std::vector<SessionView> sessions, bool include_released);

// `in_sync`, `pending`, …: for metrics.
absl::string_view ValidatorStateName(tollgate::v1::ValidatorState state);

// How many sessions of a fleet are in each state. Every state that is shown has an entry.
std::map<tollgate::v1::ValidatorState, int> CountStates(const std::vector<SessionView>& fleet);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_FLEET_H_
