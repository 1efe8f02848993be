#include "service/records/retention.h"

#include <algorithm>
#include <string>

#include "service/records/field_time.h"
#include "storage/schema.h"

namespace tollgate::service {

using ::tollgate::store::v1::PolicyRecord;
using ::tollgate::store::v1::TokenRecord;

absl::Duration EndedRetention(const PolicyRecord& policy) {
  if (policy.ended_retention_us() == 0) return kUsualEndedRetention;
  if (policy.ended_retention_us() == kKeepEnded) return absl::InfiniteDuration();
  return absl::Microseconds(policy.ended_retention_us());
}

void PlacePurge(const TokenRecord& record, const PolicyRecord& policy, absl::Time now,
                storage::Effects& effects) {
  const absl::Duration retention = EndedRetention(policy);
  if (retention == absl::InfiniteDuration()) return;
  const absl::Time at = std::max(now, FromRecordMicros(record.ending().time_us()) + retention);
  effects.PutRaw(storage::Table::kDue,
                 storage::PurgeKey(ToRecordMicros(at),
                                   storage::TokenKey(record.workspace(), record.token_id())),
                 "");
}

}  // namespace tollgate::service
