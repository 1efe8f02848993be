// Where a token is in its life: a pure function of its record, the cohorts that may cover it, and
// the time.
#ifndef TOLLGATE_TOKEN_LIFE_CYCLE_H_
#define TOLLGATE_TOKEN_LIFE_CYCLE_H_

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "token/cohort.h"
#include "token/token_state.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/edge_service.pb.h"
#include "tollgate/v1/token.pb.h"

namespace tollgate::token {

// The latest watermarks that may cover a token.
struct Cohorts {
  absl::optional<tollgate::store::v1::CohortRecord> workspace;
  absl::optional<tollgate::store::v1::CohortRecord>
      owner;  // of the token's own owner, if it has one
};

// The earliest watermark that covers the token, of all that its workspace and its owner ever had;
// nullptr: none covers it. Compared by (revision, index), never by time (R13).
const tollgate::store::v1::CohortRecord* CoveringCohort(
    const tollgate::store::v1::TokenRecord& record, const Cohorts& cohorts);

// Writes into the record how a watermark has ended the token (or a time before the watermark did),
// where no commit has written an end. What ToToken and ToGrant tell is the same before and after,
// and then stays so, whatever becomes of the watermarks. False: there is nothing to write.
bool WriteCohortsEnd(const Cohorts& cohorts, tollgate::store::v1::TokenRecord* record);

// The token's state at `now`. Judged in this order: an end that a commit made stays as it is (final
// is final; of an ending and a cohort the earlier revision wins; a cohort does not end a token that
// a time had ended before it); then expire_time, then a retirement's at_time, as each passes; then
// SUSPENDED; then RETIRING; then ACTIVE.
tollgate::v1::TokenState StateAt(const tollgate::store::v1::TokenRecord& record,
                                 const Cohorts& cohorts, absl::Time now);

// What an edge needs to decide. Never holds a digest. Its state is the one that commits alone have
// made: only a commit makes a state final (I7). The grant also carries the times, and the edge
// judges them, because a later commit may still move a time that has passed.
tollgate::v1::Grant ToGrant(const tollgate::store::v1::TokenRecord& record, const Cohorts& cohorts);
// The resource, without use. `rotation_period` is the policy's; zero: the policy has none.
tollgate::v1::Token ToToken(const tollgate::store::v1::TokenRecord& record, const Cohorts& cohorts,
                            absl::Duration rotation_period, absl::Time now);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_LIFE_CYCLE_H_
