#include "storage/engine.h"

#include <algorithm>
#include <limits>

#include "storage/address_records.h"

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
    case Table::kAuditByToken:
      return "audit_by_token";
    case Table::kBindings:
      return "bindings";
  }
  return "unknown";
}

namespace {

// Keeps the order of the reasons, so that every order of merges gives the same bytes.
void MergeRefusedRecord(const tollgate::store::v1::RefusedRecord& delta,
                        tollgate::store::v1::UseRecord* base) {
  auto* refused = base->mutable_refused();
  const auto at = std::lower_bound(refused->begin(), refused->end(), delta.reason(),
                                   [](const tollgate::store::v1::RefusedRecord& r, int32_t reason) {
                                     return r.reason() < reason;
                                   });
  if (at == refused->end() || at->reason() != delta.reason()) {
    const auto place = at - refused->begin();
    tollgate::store::v1::RefusedRecord* added = refused->Add();
    *added = delta;
    added->clear_addresses();
    MergeAddressRecords(delta.addresses(), added->mutable_addresses());
    std::rotate(refused->begin() + place, refused->end() - 1, refused->end());
    return;
  }
  at->set_first_us(std::min(at->first_us(), delta.first_us()));
  at->set_last_us(std::max(at->last_us(), delta.last_us()));
  at->set_count(AddUseCounts(at->count(), delta.count()));
  MergeAddressRecords(delta.addresses(), at->mutable_addresses());
}

}  // namespace

// Saturates, so that every order of additions gives the same sum.
int64_t AddUseCounts(int64_t a, int64_t b) {
  a = std::max<int64_t>(a, 0);
  b = std::max<int64_t>(b, 0);
  return a > std::numeric_limits<int64_t>::max() - b ? std::numeric_limits<int64_t>::max() : a + b;
}

// Associative and commutative: RocksDB may merge deltas with each other, in
// any grouping, before it meets the base. (But for how often an address is
// counted that had fallen out of the latest ones in between.)
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
  for (const auto& refused : delta.refused()) MergeRefusedRecord(refused, base);
}

}  // namespace tollgate::storage
