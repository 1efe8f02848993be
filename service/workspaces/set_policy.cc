#include "service/workspaces/set_policy.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutation.h"
#include "google/protobuf/descriptor.h"
#include "service/records/held_token.h"
#include "service/records/token_shape.h"
#include "service/workspaces/policy_resource.h"
#include "service/workspaces/policy_rules.h"
#include "storage/live_count.h"
#include "storage/schema.h"
#include "token/edge_annotations.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::PolicyRecord;
using ::tollgate::store::v1::WorkspaceRecord;
using ::tollgate::v1::WorkspacePolicy;

// In micros; 0 where unset.
absl::StatusOr<int64_t> PolicyMicros(bool has, const google::protobuf::Duration& duration,
                                     absl::string_view field) {
  if (!has) return 0;
  ASSIGN_OR_RETURN(const absl::Duration value,
                   DurationFromField(duration, field, kShortest, "POLICY_DURATION_OUT_OF_BOUNDS"));
  return absl::ToInt64Microseconds(value);
}

// Whether edges are told something else of the workspace's tokens.
bool EdgesNotice(const PolicyRecord& before, const PolicyRecord& after) {
  return before.report_attempt_addresses() != after.report_attempt_addresses() ||
         !std::equal(before.edge_annotations().begin(), before.edge_annotations().end(),
                     after.edge_annotations().begin(), after.edge_annotations().end());
}

}  // namespace

absl::StatusOr<std::shared_ptr<SetPolicyCommand>> SetPolicyCommand::Make(
    const tollgate::v1::UpdateWorkspacePolicyRequest& request, absl::string_view actor) {
  ASSIGN_OR_RETURN(std::string workspace, token::ParseWorkspaceName(request.name(), "name"));
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  // An empty policy with an empty mask would silently lift every limit.
  if (request.update_mask().paths().empty()) {
    return base::RefuseField(
        "MASK_REQUIRED", "update_mask",
        "is empty; name the fields to change, as in max_lifetime, or * for all");
  }
  for (const std::string& path : request.update_mask().paths()) {
    if (path != "*" && WorkspacePolicy::descriptor()->FindFieldByName(path) == nullptr) {
      return base::RefuseField(
          "UNKNOWN_FIELD", "update_mask",
          "names what is no field of the policy; use names as in max_lifetime");
    }
  }
  const WorkspacePolicy& policy = request.policy();
  RETURN_IF_ERROR(CheckLabelPattern(policy.label_pattern(), "policy.label_pattern"));
  RETURN_IF_ERROR(token::CheckHoldsNoTokenString(policy.label_pattern(), "policy.label_pattern"));
  RETURN_IF_ERROR(
      PolicyMicros(policy.has_max_lifetime(), policy.max_lifetime(), "policy.max_lifetime")
          .status());
  RETURN_IF_ERROR(
      PolicyMicros(policy.has_rotation_period(), policy.rotation_period(), "policy.rotation_period")
          .status());
  RETURN_IF_ERROR(
      PolicyMicros(policy.has_max_unused(), policy.max_unused(), "policy.max_unused").status());
  RETURN_IF_ERROR(token::CheckScopes(policy.grantable_scopes(), "policy.grantable_scopes"));
  RETURN_IF_ERROR(
      token::CheckScopeStars(policy.grantable_scopes(), /*held=*/{}, "policy.grantable_scopes"));
  RETURN_IF_ERROR(
      token::CheckEdgeAnnotations(policy.edge_annotations(), "policy.edge_annotations"));
  Context context{"set_policy", std::move(workspace), std::string(actor), request.request_id(),
                  RequestFingerprint(request)};
  return std::shared_ptr<SetPolicyCommand>(new SetPolicyCommand(std::move(context), request));
}

bool SetPolicyCommand::Sets(absl::string_view path) const {
  const auto& paths = request_.update_mask().paths();
  return std::any_of(paths.begin(), paths.end(),
                     [&](const std::string& named) { return named == path || named == "*"; });
}

absl::Status SetPolicyCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                     storage::Effects& effects) {
  ASSIGN_OR_RETURN(auto found, storage::GetRecord<WorkspaceRecord>(
                                   view, storage::Table::kWorkspaces, workspace()));
  WorkspaceRecord record;
  if (found.has_value()) {
    record = *std::move(found);
  } else {
    record.set_workspace(workspace());
    record.set_create_time_us(ToRecordMicros(slot.now));
  }
  RETURN_IF_ERROR(CheckEtag(request_.etag(), ToWorkspace(record).etag(), "etag"));
  const WorkspacePolicy& asked = request_.policy();
  const PolicyRecord before = record.policy();
  PolicyRecord& policy = *record.mutable_policy();
  if (Sets("label_pattern")) policy.set_label_pattern(asked.label_pattern());
  if (Sets("unique_labels")) policy.set_unique_labels(asked.unique_labels());
  if (Sets("max_lifetime")) {
    ASSIGN_OR_RETURN(const int64_t us, PolicyMicros(asked.has_max_lifetime(), asked.max_lifetime(),
                                                    "policy.max_lifetime"));
    policy.set_max_lifetime_us(us);
  }
  if (Sets("rotation_period")) {
    ASSIGN_OR_RETURN(const int64_t us,
                     PolicyMicros(asked.has_rotation_period(), asked.rotation_period(),
                                  "policy.rotation_period"));
    policy.set_rotation_period_us(us);
  }
  if (Sets("max_unused")) {
    ASSIGN_OR_RETURN(const int64_t us,
                     PolicyMicros(asked.has_max_unused(), asked.max_unused(), "policy.max_unused"));
    policy.set_max_unused_us(us);
  }
  if (Sets("grantable_scopes")) *policy.mutable_grantable_scopes() = asked.grantable_scopes();
  if (Sets("edge_annotations")) *policy.mutable_edge_annotations() = asked.edge_annotations();
  if (Sets("report_attempt_addresses")) {
    policy.set_report_attempt_addresses(asked.report_attempt_addresses());
  }
  record.set_update_time_us(ToRecordMicros(slot.now));
  effects.Put(storage::Table::kWorkspaces, workspace(), record);
  if (EdgesNotice(before, policy) && !TOLLGATE_MUTATED("policy_untold")) {
    tollgate::v1::Event event;
    event.mutable_workspace_changed()->set_workspace(workspace());
    effects.Tell(std::move(event));
  }

  tollgate::store::v1::AuditRecord entry;
  entry.set_actor(actor());
  entry.set_action("policy.update");
  entry.set_resource(token::WorkspaceName(workspace()));
  entry.set_workspace(workspace());
  (*entry.mutable_details())["policy"] = policy.ShortDebugString();
  effects.Audit(std::move(entry));

  *response_.mutable_workspace() = ToWorkspace(record);
  ASSIGN_OR_RETURN(const int64_t live, storage::LiveTokens(view, workspace()));
  response_.mutable_workspace()->set_live_token_count(live);
  response_.set_revision(slot.revision);
  return absl::OkStatus();
}

}  // namespace tollgate::service
