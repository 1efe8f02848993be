// The audit log, read: pure functions of a snapshot. They scan, so they must not run on a gRPC
// thread.
#ifndef TOLLGATE_SERVICE_READS_READ_AUDIT_H_
#define TOLLGATE_SERVICE_READS_READ_AUDIT_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "storage/engine.h"
#include "tollgate/v1/operations_service.pb.h"

namespace tollgate::service {

// Of what a caller may read.
enum class AuditReach {
  kAll,
  // Of one workspace, as it is now: not what was before it was made, under the same name; nothing
  // where it is not there.
  kWorkspaceAsItIs,
};

// A page of the audit log. One token's entries are read by their index, and no others; with any
// other filter the log is read, so that a page can be short, and even empty, with a
// next_page_token. BAD_RESOURCE_NAME, FROM_REVISION_NEGATIVE, TOKEN_OF_OTHER_WORKSPACE,
// TOKEN_NOT_FOUND, ACTION_MALFORMED, TOO_MANY_ACTIONS, BOTH_TIME_AND_DURATION, TIME_MALFORMED,
// DURATION_MALFORMED, DURATION_OUT_OF_BOUNDS, TIMES_REVERSED, PAGE_SIZE_NEGATIVE,
// PAGE_TOKEN_MALFORMED, PAGE_TOKEN_MISMATCH (of another list, filter or order).
absl::StatusOr<tollgate::v1::ListAuditEntriesResponse> ReadAuditEntries(
    const storage::Snapshot& snapshot, const tollgate::v1::ListAuditEntriesRequest& request,
    absl::Time now, AuditReach reach = AuditReach::kAll);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_READS_READ_AUDIT_H_
