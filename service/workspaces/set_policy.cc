#include "service/workspaces/set_policy.h"

#include <algorithm>
#include <utility>

#include "base/mutation.h"
#include "service/records/audit_changes.h"
#include "service/records/held_token.h"
#include "service/records/retention.h"
#include "service/records/token_shape.h"
#include "service/workspaces/create_workspace.h"
#include "service/workspaces/policy_change.h"
#include "service/workspaces/policy_resource.h"
#include "storage/schema.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::PolicyRecord;
using ::tollgate::store::v1::WorkspaceRecord;

// Whether edges are told something else of the workspace's tokens.
bool EdgesNotice(const PolicyRecord& before, const PolicyRecord& after) {
  return before.report_attempt_addresses() != after.report_attempt_addresses() ||
         !std::equal(before.edge_annotations().begin(), before.edge_annotations().end(),
                     after.edge_annotations().begin(), after.edge_annotations().end());
}

// A limit of unused time reaches every token of the workspace, and none before it has been in force
// for its length: that is when the sweep comes to those that it does not watch yet.
void ReachUnused(const PolicyRecord& before, const PolicyRecord& after, absl::string_view workspace,
                 storage::Effects& effects) {
  if (after.max_unused_us() == 0 || (after.max_unused_us() == before.max_unused_us() &&
                                     after.max_unused_since_us() == before.max_unused_since_us())) {
    return;
  }
  effects.PutRaw(storage::Table::kDue,
                 storage::DueKey(after.max_unused_since_us() + after.max_unused_us(),
                                 storage::DueKind::kReachUnused, storage::TokenKey(workspace, "")),
                 "");
}

}  // namespace

absl::StatusOr<std::shared_ptr<SetPolicyCommand>> SetPolicyCommand::Make(
    const tollgate::v1::UpdateWorkspacePolicyRequest& request, absl::string_view actor) {
  ASSIGN_OR_RETURN(std::string workspace, token::ParseWorkspaceName(request.name(), "name"));
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  RETURN_IF_ERROR(CheckPolicyChange(request.policy(), request.update_mask()));
  if (request.policy().has_max_unused()) {
    RETURN_IF_ERROR(RefuseByUse(workspace, "policy.max_unused"));
  }
  Context context{"set_policy", std::move(workspace), std::string(actor), request.request_id(),
                  RequestFingerprint(request)};
  return std::shared_ptr<SetPolicyCommand>(new SetPolicyCommand(std::move(context), request));
}

absl::Status SetPolicyCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                     storage::Effects& effects) {
  ASSIGN_OR_RETURN(WorkspaceRecord record,
                   LoadOrMakeWorkspace(view, workspace(), /*asked=*/false, actor(), slot, effects));
  RETURN_IF_ERROR(CheckEtag(request_.etag(), ToWorkspace(record).etag(), "etag"));
  const PolicyRecord before = record.policy();
  PolicyRecord& policy = *record.mutable_policy();
  RETURN_IF_ERROR(ChangePolicy(request_.policy(), request_.update_mask(), slot.now, &policy));
  ReachUnused(before, policy, workspace(), effects);
  if (before.ended_retention_us() != policy.ended_retention_us() &&
      EndedRetention(policy) < EndedRetention(before)) {
    // Those that had ended are to go sooner than was planned. Later ones are planned anew when the
    // sweep comes to them.
    effects.PutRaw(
        storage::Table::kDue,
        storage::DueKey(0, storage::DueKind::kReachPurge, storage::TokenKey(workspace(), "")), "");
  }
  record.set_update_time_us(ToRecordMicros(slot.now));
  effects.Put(storage::Table::kWorkspaces, workspace(), record);
  if (EdgesNotice(before, policy) && !TOLLGATE_MUTATED("policy_untold")) {
    tollgate::v1::Event event;
    event.mutable_workspace_changed()->set_workspace(workspace());
    effects.Tell(std::move(event));
  }

  tollgate::store::v1::AuditRecord entry = AuditOfWorkspace(actor(), "policy.update", workspace());
  NoteChanges(before, policy, &entry);
  effects.Audit(std::move(entry));

  ASSIGN_OR_RETURN(*response_.mutable_workspace(), ToCountedWorkspace(view, record));
  response_.set_revision(slot.revision);
  return absl::OkStatus();
}

}  // namespace tollgate::service
