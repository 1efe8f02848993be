#include "service/feed/ledger/roster.h"

#include <algorithm>
#include <utility>

#include "base/invariant.h"
#include "base/mutation.h"

namespace tollgate::service {

void Roster::BeginWrite(const lease::SessionId& key) {
  if (!TOLLGATE_MUTATED("r15_late_removal")) removals_.erase(key);
}

bool Roster::OnWritten(const RosterWrite& write, RosterEntry* entry) {
  TOLLGATE_INVARIANT(write.entry_number <= entries_,
                     "an addition to the roster is of an entry that was numbered");
  if (write.entry_number != entry->number) return false;
  entry->written = true;
  entry->lapsed = false;
  entry->fail_open_for =
      std::max(entry->fail_open_for, absl::Microseconds(write.record.fail_open_for_us()));
  entry->holds_outlive_lease = std::max(entry->holds_outlive_lease,
                                        absl::Microseconds(write.record.holds_outlive_lease_us()));
  return true;
}

void Roster::Remove(const lease::SessionId& key, RosterEntry* entry, bool lapsed) {
  if (!entry->written) return;
  entry->written = false;
  entry->lapsed = lapsed;
  entry->number = ++entries_;
  removals_[key] = lapsed;
}

void Roster::ForgetLapsed(const lease::SessionId& key, RosterEntry* entry) {
  if (!entry->lapsed) return;
  entry->lapsed = false;
  entry->number = ++entries_;
  removals_[key] = false;
}

std::vector<RosterRemoval> Roster::TakeRemovals() {
  std::vector<RosterRemoval> removals;
  removals.reserve(removals_.size());
  for (const auto& [key, lapsed] : std::exchange(removals_, {})) removals.push_back({key, lapsed});
  return removals;
}

}  // namespace tollgate::service
