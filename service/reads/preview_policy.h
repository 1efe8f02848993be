// What a change of a policy would mean for the tokens that there are: a pure function of a view. It
// scans, so it must not run on a gRPC thread.
#ifndef TOLLGATE_SERVICE_READS_PREVIEW_POLICY_H_
#define TOLLGATE_SERVICE_READS_PREVIEW_POLICY_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "storage/engine.h"
#include "tollgate/v1/workspace_service.pb.h"

namespace tollgate::service {

// A page of a workspace's live tokens that the policy would touch, in order of their ids, as if it
// were set at `now`. Errors: those of the change itself (policy_change.h); BAD_RESOURCE_NAME,
// WORKSPACE_NOT_FOUND; the page errors of ReadTokenList.
absl::StatusOr<tollgate::v1::PreviewWorkspacePolicyResponse> PreviewPolicy(
    const storage::View& view, const tollgate::v1::PreviewWorkspacePolicyRequest& request,
    absl::Time now);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_READS_PREVIEW_POLICY_H_
