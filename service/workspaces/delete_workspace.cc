#include "service/workspaces/delete_workspace.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "service/records/audit_changes.h"
#include "service/records/binding_record.h"
#include "service/records/held_token.h"
#include "service/records/token_shape.h"
#include "service/workspaces/policy_resource.h"
#include "storage/live_count.h"
#include "storage/schema.h"
#include "token/resource_name.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::AuditRecord;
using ::tollgate::store::v1::WorkspaceRecord;

absl::Status CheckEmpty(const storage::View& view, const std::string& workspace) {
  const storage::KeyRange range = storage::WorkspaceTokens(workspace);
  ASSIGN_OR_RETURN(const std::vector<storage::Entry> any,
                   view.Scan(storage::Table::kTokens, range.begin, range.end, 1));
  if (any.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int64_t live, storage::LiveTokens(view, workspace));
  base::ErrorDetails details;
  details.reason = "WORKSPACE_NOT_EMPTY";
  details.metadata = {{"live_token_count", absl::StrCat(live)}};
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition,
      live > 0
          ? absl::StrCat(workspace, " has ", live, live == 1 ? " live token" : " live tokens",
                         ". Nothing was deleted")
          : absl::StrCat(
                workspace,
                " has ended tokens, of which it would be forgotten that they have ended, until "
                "they are purged (ended_retention of its policy). Nothing was deleted"),
      details);
}

}  // namespace

absl::StatusOr<std::shared_ptr<DeleteWorkspaceCommand>> DeleteWorkspaceCommand::Make(
    const tollgate::v1::DeleteWorkspaceRequest& request, absl::string_view actor) {
  ASSIGN_OR_RETURN(std::string workspace, token::ParseWorkspaceName(request.name(), "name"));
  if (workspace == token::kOperatorWorkspace) {
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "HAS_OPERATORS",
                        "the service's own workspace cannot be deleted. Revoke its tokens instead: "
                        "tollgate token list -w @operators");
  }
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  Context context{"delete_workspace", std::move(workspace), std::string(actor),
                  request.request_id(), RequestFingerprint(request)};
  return std::shared_ptr<DeleteWorkspaceCommand>(
      new DeleteWorkspaceCommand(std::move(context), request.etag()));
}

absl::Status DeleteWorkspaceCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                           storage::Effects& effects) {
  ASSIGN_OR_RETURN(const WorkspaceRecord record, LoadWorkspace(view, workspace()));
  RETURN_IF_ERROR(CheckEtag(etag_, ToWorkspace(record).etag(), "etag"));
  RETURN_IF_ERROR(CheckEmpty(view, workspace()));
  effects.Delete(storage::Table::kWorkspaces, workspace());
  // The sweep has no ends to write into tokens that are not there.
  effects.Delete(storage::Table::kDue,
                 storage::DueKey(0, storage::DueKind::kWriteEnds, workspace()));

  AuditRecord entry = AuditOfWorkspace(actor(), "workspace.delete", workspace());
  NoteChanges(record, WorkspaceRecord(), &entry);
  effects.Audit(std::move(entry));
  // Nobody has a role in whatever gets this name next.
  RETURN_IF_ERROR(ForgetWorkspaceInBindings(view, workspace(), actor(), slot, effects).status());

  response_.set_revision(slot.revision);
  return absl::OkStatus();
}

}  // namespace tollgate::service
