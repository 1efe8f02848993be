// Makes a workspace: on purpose, or with the first token or policy of a store that has none.
#ifndef TOLLGATE_SERVICE_WORKSPACES_CREATE_WORKSPACE_H_
#define TOLLGATE_SERVICE_WORKSPACES_CREATE_WORKSPACE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/records/change.h"
#include "storage/command.h"
#include "storage/engine.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/workspace_service.pb.h"

namespace tollgate::service {

// Makes the workspace, with its audit entry. REQUIRES: there is none of this name.
tollgate::store::v1::WorkspaceRecord PutNewWorkspace(absl::string_view workspace,
                                                     absl::string_view display_name,
                                                     absl::string_view actor,
                                                     const storage::Slot& slot,
                                                     storage::Effects& effects);

// The workspace that a change is about. Where there is none of this name it is made, if the caller
// has `asked` for that, or the store has no workspace at all: a newcomer's first is no typing
// error. Else WORKSPACE_NOT_FOUND.
absl::StatusOr<tollgate::store::v1::WorkspaceRecord> LoadOrMakeWorkspace(
    const storage::View& view, absl::string_view workspace, bool asked, absl::string_view actor,
    const storage::Slot& slot, storage::Effects& effects);

// Tells nobody but the audit log: no edge knows anything of a workspace without tokens.
// ALREADY_EXISTS, WORKSPACE_EXISTS.
class CreateWorkspaceCommand : public ChangeTo<tollgate::v1::CreateWorkspaceResponse> {
 public:
  // INVALID_ARGUMENT, with the field: BAD_RESOURCE_NAME, OUTPUT_ONLY_FIELD, those of labels for the
  // display name.
  static absl::StatusOr<std::shared_ptr<CreateWorkspaceCommand>> Make(
      const tollgate::v1::CreateWorkspaceRequest& request, absl::string_view actor);

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  CreateWorkspaceCommand(Context context, std::string display_name)
      : ChangeTo(std::move(context)), display_name_(std::move(display_name)) {}

  const std::string display_name_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_WORKSPACES_CREATE_WORKSPACE_H_
