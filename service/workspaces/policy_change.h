// A change of a workspace's policy: its shape, and what it makes of the policy that there is. Pure.
#ifndef TOLLGATE_SERVICE_WORKSPACES_POLICY_CHANGE_H_
#define TOLLGATE_SERVICE_WORKSPACES_POLICY_CHANGE_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "google/protobuf/field_mask.pb.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/workspace_service.pb.h"

namespace tollgate::service {

// INVALID_ARGUMENT, with the field: MASK_REQUIRED, UNKNOWN_FIELD, and what the parts of a policy
// may be (LABEL_PATTERN_INVALID, POLICY_DURATION_OUT_OF_BOUNDS, those of scopes and of annotations
// for the edge, CONTAINS_TOKEN_STRING).
absl::Status CheckPolicyChange(const tollgate::v1::WorkspacePolicy& policy,
                               const google::protobuf::FieldMask& mask);

// Sets in `record` what `mask` names, at `now`. REQUIRES: CheckPolicyChange(policy, mask) is OK.
absl::Status ChangePolicy(const tollgate::v1::WorkspacePolicy& policy,
                          const google::protobuf::FieldMask& mask, absl::Time now,
                          tollgate::store::v1::PolicyRecord* record);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_WORKSPACES_POLICY_CHANGE_H_
