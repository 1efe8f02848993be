// Sets the policy for a workspace's new tokens. Makes the workspace where the store has none.
#ifndef TOLLGATE_SERVICE_WORKSPACES_SET_POLICY_H_
#define TOLLGATE_SERVICE_WORKSPACES_SET_POLICY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/records/change.h"
#include "tollgate/v1/workspace_service.pb.h"

namespace tollgate::service {

// The policy judges what is granted from now on; what was granted before is not shortened. What it
// says of edges holds for every token, so edges are told where that changes. WORKSPACE_NOT_FOUND;
// ABORTED, ETAG_MISMATCH.
class SetPolicyCommand : public ChangeTo<tollgate::v1::UpdateWorkspacePolicyResponse> {
 public:
  // INVALID_ARGUMENT: BAD_RESOURCE_NAME, UNKNOWN_FIELD, LABEL_PATTERN_INVALID,
  // POLICY_DURATION_OUT_OF_BOUNDS, and those of scopes and of keys of annotations.
  static absl::StatusOr<std::shared_ptr<SetPolicyCommand>> Make(
      const tollgate::v1::UpdateWorkspacePolicyRequest& request, absl::string_view actor);

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  SetPolicyCommand(Context context, const tollgate::v1::UpdateWorkspacePolicyRequest& request)
      : ChangeTo(std::move(context)), request_(request) {}

  const tollgate::v1::UpdateWorkspacePolicyRequest request_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_WORKSPACES_SET_POLICY_H_
