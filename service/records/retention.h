// For how long the record of an ended token is kept, before it is purged (storage/tombstone.h).
#ifndef TOLLGATE_SERVICE_RECORDS_RETENTION_H_
#define TOLLGATE_SERVICE_RECORDS_RETENTION_H_

#include <cstdint>

#include "absl/time/time.h"
#include "storage/command.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

// Where a policy says nothing: more than a year, so that what is done once a year still shows.
inline constexpr absl::Duration kUsualEndedRetention = absl::Hours(24 * 400);
// PolicyRecord.ended_retention_us: for ever.
inline constexpr int64_t kKeepEnded = -1;

// For how long after its end the record of a token is kept; InfiniteDuration: for ever.
absl::Duration EndedRetention(const tollgate::store::v1::PolicyRecord& policy);

// When the record of an ended token is to go; InfiniteFuture: never.
absl::Time PurgeTime(const tollgate::store::v1::TokenRecord& ended,
                     const tollgate::store::v1::PolicyRecord& policy);

// Plans that the record of an ended token goes when its retention has passed, or now where it has.
// Nothing where it is kept for ever. The plan is looked at anew when it is due, so that one too
// many does no harm.
void PlacePurge(const tollgate::store::v1::TokenRecord& record,
                const tollgate::store::v1::PolicyRecord& policy, absl::Time now,
                storage::Effects& effects);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RECORDS_RETENTION_H_
