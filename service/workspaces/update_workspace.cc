#include "service/workspaces/update_workspace.h"

#include "base/status.h"
#include "service/records/audit_changes.h"
#include "service/records/held_token.h"
#include "service/records/token_shape.h"
#include "service/workspaces/policy_resource.h"
#include "storage/schema.h"
#include "text/label.h"

namespace tollgate::service {

using ::tollgate::store::v1::AuditRecord;
using ::tollgate::store::v1::WorkspaceRecord;
using ::tollgate::v1::UpdateWorkspaceRequest;

absl::StatusOr<std::shared_ptr<UpdateWorkspaceCommand>> UpdateWorkspaceCommand::Make(
    const UpdateWorkspaceRequest& request, absl::string_view actor) {
  ASSIGN_OR_RETURN(std::string workspace,
                   token::ParseWorkspaceName(request.workspace().name(), "workspace.name"));
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  if (request.update_mask().paths().empty()) {
    return base::RefuseField("MASK_REQUIRED", "update_mask",
                             "is empty; name the field to change: display_name");
  }
  for (const std::string& path : request.update_mask().paths()) {
    if (path != "display_name" && path != "*") {
      return base::RefuseField("UNKNOWN_FIELD", "update_mask",
                               "names what this cannot change; display_name is all. A policy is "
                               "changed by UpdateWorkspacePolicy");
    }
  }
  const std::string& display_name = request.workspace().display_name();
  if (!display_name.empty()) {
    RETURN_IF_ERROR(text::CheckLabel(display_name, "workspace.display_name"));
  }
  UpdateWorkspaceRequest compared = request;
  compared.mutable_workspace()->clear_etag();
  Context context{"update_workspace", std::move(workspace), std::string(actor),
                  request.request_id(), RequestFingerprint(compared)};
  return std::shared_ptr<UpdateWorkspaceCommand>(
      new UpdateWorkspaceCommand(std::move(context), display_name, request.workspace().etag()));
}

absl::Status UpdateWorkspaceCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                           storage::Effects& effects) {
  ASSIGN_OR_RETURN(WorkspaceRecord record, LoadWorkspace(view, workspace()));
  RETURN_IF_ERROR(CheckEtag(etag_, ToWorkspace(record).etag(), "workspace.etag"));
  const WorkspaceRecord before = record;
  response_.set_unchanged(before.display_name() == display_name_);
  if (!response_.unchanged()) {
    record.set_display_name(display_name_);
    record.set_update_time_us(ToRecordMicros(slot.now));
    effects.Put(storage::Table::kWorkspaces, workspace(), record);
    AuditRecord entry = AuditOfWorkspace(actor(), "workspace.update", workspace());
    NoteChanges(before, record, &entry);
    effects.Audit(std::move(entry));
  }
  ASSIGN_OR_RETURN(*response_.mutable_workspace(), ToCountedWorkspace(view, record));
  response_.set_revision(slot.revision);
  return absl::OkStatus();
}

}  // namespace tollgate::service
