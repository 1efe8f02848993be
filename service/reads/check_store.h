// Compares what is counted and indexed with the tokens themselves.
#ifndef TOLLGATE_SERVICE_READS_CHECK_STORE_H_
#define TOLLGATE_SERVICE_READS_CHECK_STORE_H_

#include "absl/status/statusor.h"
#include "storage/engine.h"
#include "tollgate/v1/operations_service.pb.h"

namespace tollgate::service {

// Reads every token once, and of each the entry by which its token string is found. The counts of
// live tokens (storage/live_count.h) are compared for every workspace and owner, and the audit log
// with its index by token (storage/audit_index.h). Keeps one number for each owner. Sets all but
// the revision. It must not run on a gRPC thread. Errors: the view's; DATA_LOSS.
absl::StatusOr<tollgate::v1::CheckStoreResponse> CheckStore(const storage::View& view);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_READS_CHECK_STORE_H_
