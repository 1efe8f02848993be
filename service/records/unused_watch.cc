#include "service/records/unused_watch.h"

#include <algorithm>
#include <string>

#include "base/status.h"
#include "service/records/field_time.h"
#include "storage/schema.h"

namespace tollgate::service {
namespace {

std::string MarkKey(absl::string_view key) {
  return storage::DueKey(0, storage::DueKind::kUnusedMark, key);
}

}  // namespace

absl::Duration UnusedLimit(const tollgate::store::v1::TokenRecord& record,
                           const tollgate::store::v1::PolicyRecord& policy) {
  if (policy.max_unused_us() == 0) return absl::ZeroDuration();
  const int64_t granted_us = policy.max_unused_since_us() == 0 ? record.max_unused_us() : 0;
  return absl::Microseconds(std::max(policy.max_unused_us(), granted_us));
}

absl::StatusOr<absl::optional<int64_t>> UnusedWatchMicros(const storage::View& view,
                                                          absl::string_view key) {
  ASSIGN_OR_RETURN(const auto mark, view.Get(storage::Table::kDue, MarkKey(key)));
  if (!mark.has_value()) return absl::optional<int64_t>();
  ASSIGN_OR_RETURN(const int64_t micros, storage::ParseRevisionKey(*mark));
  return absl::optional<int64_t>(micros);
}

absl::Status PlaceUnusedWatch(const storage::View& view, absl::string_view key, absl::Time at,
                              storage::Effects& effects) {
  ASSIGN_OR_RETURN(const auto before, UnusedWatchMicros(view, key));
  if (before.has_value()) {
    effects.Delete(storage::Table::kDue,
                   storage::DueKey(*before, storage::DueKind::kWatchUnused, key));
  }
  const int64_t micros = ToRecordMicros(at);
  effects.PutRaw(storage::Table::kDue, storage::DueKey(micros, storage::DueKind::kWatchUnused, key),
                 "");
  effects.PutRaw(storage::Table::kDue, MarkKey(key), storage::RevisionKey(micros));
  return absl::OkStatus();
}

void DropUnusedMark(absl::string_view key, storage::Effects& effects) {
  effects.Delete(storage::Table::kDue, MarkKey(key));
}

}  // namespace tollgate::service
