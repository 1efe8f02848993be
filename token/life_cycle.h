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

// The first watermark that covers the token: of a key's latest and those it took the place of, and
// of the workspace's and the owner's the earlier; nullptr where none does. Compared by (revision,
// index), never by time (R13).
const tollgate::store::v1::CohortRecord* CoveringCohort(
    const tollgate::store::v1::TokenRecord& record, const Cohorts& cohorts);

// The state at `now`. In this order: what a commit ended stays as it ended (final is final; of an
// ending and a cohort the earlier revision wins, and a cohort ends nothing that a time had ended
// before it); then expire_time, then at_time of a retirement, as they pass; then suspended; then
// RETIRING; then ACTIVE.
tollgate::v1::TokenState StateAt(const tollgate::store::v1::TokenRecord& record,
                                 const Cohorts& cohorts, absl::Time now);

// What an edge needs to decide. Never holds a digest. Judged at no time: what only a time has ended
// is told by its state before and by that time, which a later commit may still move; a final state
// is a commit's alone (I7).
tollgate::v1::Grant ToGrant(const tollgate::store::v1::TokenRecord& record, const Cohorts& cohorts);
// The resource, without use. `rotation_period` is the policy's; zero: none.
tollgate::v1::Token ToToken(const tollgate::store::v1::TokenRecord& record, const Cohorts& cohorts,
                            absl::Duration rotation_period, absl::Time now);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_LIFE_CYCLE_H_
