// What the edge's state tells of itself to what stays open (holds.h).
#ifndef TOLLGATE_VALIDATOR_CORE_FOLLOWED_HOLDS_H_
#define TOLLGATE_VALIDATOR_CORE_FOLLOWED_HOLDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "token/cohort.h"
#include "tollgate/v1/edge_service.pb.h"
#include "validator/core/usage_ledger.h"

namespace tollgate::validator {

// Events, as they are applied, each after the table of decisions has dropped what it is about.
// Called under the caller's lock, and must not call back.
class FollowedHolds {
 public:
  virtual ~FollowedHolds() = default;
  virtual void OnTokenEvent(absl::string_view token_id, int64_t revision) = 0;
  virtual void OnCohort(const token::CohortWatermark& cohort) = 0;
  // An event that may be about anything, or a reset to this revision.
  virtual void OnAny(int64_t revision) = 0;
  // What is applied from here on is of this epoch, and above this revision: before OnAny.
  virtual void OnReset(const std::string& epoch, int64_t revision) = 0;
  // What is followed from here on is another history: every hold ends, whatever is granted
  // afterwards.
  virtual void OnHistoryEnded() = 0;
  // Adds the tokens that are in use now because something is held open by them: each once, and only
  // where it is good as far as this edge can know, with a live lease and not in doubt.
  virtual void CollectHeld(std::vector<HeldUse>* held) = 0;

  // ---- The pings. HoldReceipts has the next three.
  virtual bool has_news() const = 0;
  virtual bool FillPing(tollgate::v1::Ping* ping) = 0;
  virtual void StreamEnded() = 0;
  // How many are open.
  virtual int64_t open() const = 0;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_FOLLOWED_HOLDS_H_
