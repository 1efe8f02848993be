// Changes what people call a workspace.
#ifndef TOLLGATE_SERVICE_WORKSPACES_UPDATE_WORKSPACE_H_
#define TOLLGATE_SERVICE_WORKSPACES_UPDATE_WORKSPACE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/records/change.h"
#include "tollgate/v1/workspace_service.pb.h"

namespace tollgate::service {

// The display name decides nothing, so edges are told nothing. WORKSPACE_NOT_FOUND; ABORTED,
// ETAG_MISMATCH.
class UpdateWorkspaceCommand : public ChangeTo<tollgate::v1::UpdateWorkspaceResponse> {
 public:
  // INVALID_ARGUMENT, with the field: BAD_RESOURCE_NAME, MASK_REQUIRED, UNKNOWN_FIELD, those of
  // labels.
  static absl::StatusOr<std::shared_ptr<UpdateWorkspaceCommand>> Make(
      const tollgate::v1::UpdateWorkspaceRequest& request, absl::string_view actor);

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  UpdateWorkspaceCommand(Context context, std::string display_name, std::string etag)
      : ChangeTo(std::move(context)),
        display_name_(std::move(display_name)),
        etag_(std::move(etag)) {}

  const std::string display_name_;
  const std::string etag_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_WORKSPACES_UPDATE_WORKSPACE_H_
