// What the edge's state tells of itself to what stays open (holds.h).
#ifndef TOLLGATE_VALIDATOR_CORE_FOLLOWED_HOLDS_H_
#define TOLLGATE_VALIDATOR_CORE_FOLLOWED_HOLDS_H_

#include "absl/strings/string_view.h"
#include "token/cohort.h"

namespace tollgate::validator {

// Events, as they are applied, each after the table of decisions has dropped what it is about.
// Called under the caller's lock, and must not call back.
class FollowedHolds {
 public:
  virtual ~FollowedHolds() = default;
  virtual void OnTokenEvent(absl::string_view token_id) = 0;
  virtual void OnCohort(const token::CohortWatermark& cohort) = 0;
  // A reset, or an event that may be about anything.
  virtual void OnAny() = 0;
  // The lease was ended before its time: every hold ends, whatever is granted afterwards.
  virtual void OnLeaseEnded() = 0;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_FOLLOWED_HOLDS_H_
