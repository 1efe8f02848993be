#include "service/workspaces/create_workspace.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "service/records/audit_changes.h"
#include "service/records/held_token.h"
#include "service/records/near_names.h"
#include "service/records/token_shape.h"
#include "service/workspaces/policy_resource.h"
#include "storage/schema.h"
#include "text/label.h"
#include "token/resource_name.h"

namespace tollgate::service {

using ::tollgate::store::v1::AuditRecord;
using ::tollgate::store::v1::WorkspaceRecord;

WorkspaceRecord PutNewWorkspace(absl::string_view workspace, absl::string_view display_name,
                                absl::string_view actor, const storage::Slot& slot,
                                storage::Effects& effects) {
  WorkspaceRecord record;
  record.set_workspace(std::string(workspace));
  record.set_display_name(std::string(display_name));
  record.set_create_time_us(ToRecordMicros(slot.now));
  record.set_update_time_us(record.create_time_us());
  record.set_create_revision(slot.revision);
  // It has no token yet. A deleted workspace of this name may have left watermarks, which bear on
  // nothing that is created after them.
  record.set_ends_written_to(slot.revision - 1);
  effects.Put(storage::Table::kWorkspaces, workspace, record);

  AuditRecord entry = AuditOfWorkspace(actor, "workspace.create", workspace);
  NoteMade(record, &entry);
  effects.Audit(std::move(entry));
  return record;
}

absl::StatusOr<WorkspaceRecord> LoadOrMakeWorkspace(const storage::View& view,
                                                    absl::string_view workspace, bool asked,
                                                    absl::string_view actor,
                                                    const storage::Slot& slot,
                                                    storage::Effects& effects) {
  ASSIGN_OR_RETURN(auto found, storage::GetRecord<WorkspaceRecord>(
                                   view, storage::Table::kWorkspaces, workspace));
  if (found.has_value()) return *std::move(found);
  if (!asked && workspace != token::kOperatorWorkspace) {
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> any,
                     view.Scan(storage::Table::kWorkspaces, "", "", 2));
    if (workspace == "operators") {
      base::ErrorDetails details;
      details.reason = "WORKSPACE_NOT_FOUND";
      details.metadata = {{"workspace", "operators"}, {"near", token::kOperatorWorkspace}};
      return base::Refuse(absl::StatusCode::kNotFound,
                          "there is no workspace operators; operator tokens are in @operators",
                          details);
    }
    const auto is_other = [](const storage::Entry& entry) {
      return entry.key != token::kOperatorWorkspace;
    };
    if (std::any_of(any.begin(), any.end(), is_other)) return NoSuchWorkspace(view, workspace);
  }
  return PutNewWorkspace(workspace, /*display_name=*/"", actor, slot, effects);
}

absl::StatusOr<std::shared_ptr<CreateWorkspaceCommand>> CreateWorkspaceCommand::Make(
    const tollgate::v1::CreateWorkspaceRequest& request, absl::string_view actor) {
  if (!token::IsWorkspaceId(request.workspace_id())) {
    return base::RefuseField(
        "BAD_RESOURCE_NAME", "workspace_id",
        "must be 1 to 63 of a-z, 0-9 and -, not beginning or ending with -, without workspaces/");
  }
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  tollgate::v1::Workspace rest = request.workspace();
  rest.clear_display_name();
  if (rest.ByteSizeLong() > 0) {
    return base::RefuseField("OUTPUT_ONLY_FIELD", "workspace",
                             "takes display_name only; its policy is set once it is there");
  }
  const std::string& display_name = request.workspace().display_name();
  if (!display_name.empty()) {
    RETURN_IF_ERROR(text::CheckLabel(display_name, "workspace.display_name"));
  }
  Context context{"create_workspace", request.workspace_id(), std::string(actor),
                  request.request_id(), RequestFingerprint(request)};
  return std::shared_ptr<CreateWorkspaceCommand>(
      new CreateWorkspaceCommand(std::move(context), display_name));
}

absl::Status CreateWorkspaceCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                           storage::Effects& effects) {
  ASSIGN_OR_RETURN(const auto found, view.Get(storage::Table::kWorkspaces, workspace()));
  if (found.has_value()) {
    return base::Refuse(absl::StatusCode::kAlreadyExists, "WORKSPACE_EXISTS",
                        absl::StrCat("there is a workspace ", workspace(), " already"));
  }
  *response_.mutable_workspace() =
      ToWorkspace(PutNewWorkspace(workspace(), display_name_, actor(), slot, effects));
  response_.set_revision(slot.revision);
  return absl::OkStatus();
}

}  // namespace tollgate::service
