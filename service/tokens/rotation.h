// What the commands on a rotation have in common.
#ifndef TOLLGATE_SERVICE_TOKENS_ROTATION_H_
#define TOLLGATE_SERVICE_TOKENS_ROTATION_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "service/records/held_token.h"
#include "storage/command.h"
#include "storage/engine.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/token.pb.h"

namespace tollgate::service {

// "In use" means used within this time, where no plan says otherwise.
inline constexpr absl::Duration kUsualQuietPeriod = absl::Hours(24);

// INVALID_ARGUMENT for a plan's shape: TIME_MALFORMED, DURATION_MALFORMED, RETIRE_AFTER_TOO_SHORT,
// QUIET_PERIOD_TOO_SHORT.
absl::Status CheckRetirePlan(const tollgate::v1::RetirePlan& plan);

// Gives a rotated token this plan, in place of one that it has, with the sweep's entry for it.
// CLOCK_IN_DOUBT, RETIRE_TIME_PAST.
absl::Status PutRetirePlan(const tollgate::v1::RetirePlan& plan, const storage::Slot& slot,
                           tollgate::store::v1::TokenRecord* record, storage::Effects& effects);

// Takes the token's plan away, with the sweep's entry for it.
void ClearRetirePlan(tollgate::store::v1::TokenRecord* record, storage::Effects& effects);

// FAILED_PRECONDITION, ALREADY_ROTATED, naming what has replaced the token.
absl::Status RefuseReplaced(const HeldToken& token);
// FAILED_PRECONDITION, NOT_ROTATED: the token has no replacement.
absl::Status RefuseNotRotated(const HeldToken& token);

// The replacement of a rotated token, where the rotation can be done again or taken back: it has
// ended, or no edge has reported that it admitted it. FAILED_PRECONDITION: NOT_ROTATED;
// ALREADY_ROTATED where the replacement was rotated in its turn, or the token itself was given up;
// REPLACEMENT_IN_USE, naming the edges.
absl::StatusOr<HeldToken> UnusedReplacement(const storage::View& view, const HeldToken& token,
                                            absl::Time now);

// FAILED_PRECONDITION, REPLACEMENT_IN_USE: one that was given up for another was used all the same,
// and has not ended.
absl::Status RefuseGivenUpInUse(const storage::View& view, const HeldToken& token, absl::Time now);

// Gives up the replacement of `old`, for the token `instead`. A use that is not reported yet is not
// cut off: the sweep retires the replacement once it is known that no edge had admitted it by now,
// otherwise when it has fallen silent. One that has ended stays as it is.
void GiveUp(HeldToken& replacement, const HeldToken& old, absl::string_view instead,
            const storage::Slot& slot, storage::Effects& effects);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_TOKENS_ROTATION_H_
