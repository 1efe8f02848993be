#include "storage/engine.h"

#include <algorithm>
#include <limits>

namespace tollgate::storage {

absl::string_view TableName(Table table) {
  switch (table) {
    case Table::kMeta:
      return "meta";
    case Table::kTokens:
      return "tokens";
    case Table::kDigests:
      return "digests";
    case Table::kWorkspaces:
      return "workspaces";
    case Table::kCohorts:
      return "cohorts";
    case Table::kLabels:
      return "labels";
    case Table::kDue:
      return "due";
    case Table::kRequests:
      return "requests";
    case Table::kEvents:
      return "events";
    case Table::kAudit:
      return "audit";
    case Table::kUse:
      return "use";
    case Table::kSessions:
      return "sessions";
    case Table::kFingerprints:
      return "fingerprints";
  }
  return "unknown";
}

// Saturates, so that every order of additions gives the same sum.
int64_t AddUseCounts(int64_t a, int64_t b) {
  a = std::max<int64_t>(a, 0);
  b = std::max<int64_t>(b, 0);
  return a > std::numeric_limits<int64_t>::max() - b ? std::numeric_limits<int64_t>::max() : a + b;
}

// Associative and commutative: RocksDB may merge deltas with each other, in
// any grouping, before it meets the base.
void MergeUseRecord(const tollgate::store::v1::UseRecord& delta,
                    tollgate::store::v1::UseRecord* base) {
  base->set_last_used_us(std::max(base->last_used_us(), delta.last_used_us()));
  base->set_count(AddUseCounts(base->count(), delta.count()));
  if (delta.day() > base->day()) {
    base->set_day(delta.day());
    base->set_count_today(delta.count_today());
  } else if (delta.day() == base->day()) {
    base->set_count_today(AddUseCounts(base->count_today(), delta.count_today()));
  }
}

}  // namespace tollgate::storage
