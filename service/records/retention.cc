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

absl::Time PurgeTime(const TokenRecord& ended, const PolicyRecord& policy) {
  return FromRecordMicros(ended.ending().time_us()) + EndedRetention(policy);
}

void PlacePurge(const TokenRecord& record, const PolicyRecord& policy, absl::Time now,
                storage::Effects& effects) {
  const absl::Time at = std::max(now, PurgeTime(record, policy));
  if (at == absl::InfiniteFuture()) return;
  effects.PutRaw(storage::Table::kDue,
                 storage::PurgeKey(ToRecordMicros(at),
                                   storage::TokenKey(record.workspace(), record.token_id())),
                 "");
}

}  // namespace tollgate::service
