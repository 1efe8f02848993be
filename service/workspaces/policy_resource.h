// A workspace as callers see it.
#ifndef TOLLGATE_SERVICE_WORKSPACES_POLICY_RESOURCE_H_
#define TOLLGATE_SERVICE_WORKSPACES_POLICY_RESOURCE_H_

#include "absl/status/statusor.h"
#include "storage/engine.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/workspace_service.pb.h"

namespace tollgate::service {

// The resource of a workspace's record, without its count of tokens; `policy` is unset where none
// was ever set.
tollgate::v1::Workspace ToWorkspace(const tollgate::store::v1::WorkspaceRecord& record);
// The same with its count. Errors: the view's; DATA_LOSS.
absl::StatusOr<tollgate::v1::Workspace> ToCountedWorkspace(
    const storage::View& view, const tollgate::store::v1::WorkspaceRecord& record);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_WORKSPACES_POLICY_RESOURCE_H_
