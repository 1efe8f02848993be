// The answer of EdgeService.Resolve: one token, by its edge digest.
#ifndef TOLLGATE_SERVICE_READS_RESOLVE_H_
#define TOLLGATE_SERVICE_READS_RESOLVE_H_

#include <string>

#include "absl/status/statusor.h"
#include "service/history/history.h"
#include "storage/engine.h"
#include "token/keyring.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {

// The answer to a question by digest, from one snapshot of the store whose past is `history`: the
// answer's epoch, term and revision belong together (R12, R19). Pure; thread-safe
// where the snapshot is. Errors: INVALID_ARGUMENT (DIGEST_MALFORMED, VALIDATOR_ID_MALFORMED,
// REVISION_MALFORMED); UNAVAILABLE (BEHIND) where the validator has applied a later revision of the
// same epoch than the snapshot's, so that the answer would be useless; DATA_LOSS where the store
// contradicts itself; the snapshot's.
absl::StatusOr<tollgate::v1::ResolveResponse> ResolveFrom(
    const storage::Snapshot& snapshot, const token::Keyring& keyring, const History& history,
    const tollgate::v1::ResolveRequest& request);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_READS_RESOLVE_H_
