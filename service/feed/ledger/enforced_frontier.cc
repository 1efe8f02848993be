#include "service/feed/ledger/enforced_frontier.h"

#include <algorithm>

#include "base/invariant.h"
#include "base/mutation.h"

namespace tollgate::service {

bool EnforcedFrontier::OnRevision(int64_t revision, bool has_events, base::BootTime now) {
  if (revision <= head_) return false;
  head_ = revision;
  if (has_events) events_.Add(revision, now);
  return true;
}

void EnforcedFrontier::HoldUntil(base::BootTime until) { held_until_ = until; }

bool EnforcedFrontier::Advance(base::BootTime now) {
  if (!held_until_.has_value() || *held_until_ > now) return false;
  held_until_.reset();
  hold_ended_ = true;
  return true;
}

void EnforcedFrontier::Declare(absl::optional<int64_t> least_acknowledged) {
  if (held_until_.has_value() || stopped()) return;
  int64_t enforced = head_;
  if (least_acknowledged.has_value() && !TOLLGATE_MUTATED("r14_waits_for_nobody")) {
    const absl::optional<int64_t> missing = events_.FirstAfter(*least_acknowledged);
    if (missing.has_value()) enforced = std::min(enforced, *missing - 1);
  }
  TOLLGATE_INVARIANT(enforced <= head_, "nothing above the durable head is declared enforced");
  enforced_ = std::max(enforced_, enforced);
  events_.ForgetUpTo(enforced_);
}

int64_t EnforcedFrontier::grant_floor() const {
  return TOLLGATE_MUTATED("r9_no_floor_at_start") ? enforced_ : std::max(start_head_, enforced_);
}

}  // namespace tollgate::service
