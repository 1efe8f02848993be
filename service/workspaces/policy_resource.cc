#include "service/workspaces/policy_resource.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "service/records/field_time.h"
#include "service/records/retention.h"
#include "storage/live_count.h"
#include "storage/schema.h"
#include "token/fingerprint.h"
#include "token/resource_name.h"

namespace tollgate::service {

using ::tollgate::store::v1::PolicyRecord;
using ::tollgate::store::v1::WorkspaceRecord;
using ::tollgate::v1::WorkspacePolicy;

namespace {

constexpr size_t kEtagBytes = 8;

}  // namespace

tollgate::v1::Workspace ToWorkspace(const WorkspaceRecord& record) {
  tollgate::v1::Workspace workspace;
  workspace.set_name(token::WorkspaceName(record.workspace()));
  *workspace.mutable_create_time() = base::ToProto(FromRecordMicros(record.create_time_us()));
  *workspace.mutable_update_time() = base::ToProto(FromRecordMicros(record.update_time_us()));
  // Of what it says, so that it is the same wherever and whenever it says the same.
  PolicyRecord says = record.policy();
  says.clear_max_unused_since_us();
  const std::string policy_bytes = storage::SerializeRecord(says);
  std::vector<absl::string_view> said = {policy_bytes};
  if (!record.display_name().empty()) said.push_back(record.display_name());
  // The same name made again is another workspace, whatever it says.
  const std::string made_at = absl::StrCat(record.create_revision());
  if (record.create_revision() > 0) said.push_back(made_at);
  workspace.set_etag(absl::BytesToHexString(
      token::Fingerprint("tollgate policy etag", said).substr(0, kEtagBytes)));
  workspace.set_display_name(record.display_name());
  workspace.set_create_revision(record.create_revision());
  if (!record.has_policy()) return workspace;
  const PolicyRecord& from = record.policy();
  WorkspacePolicy* policy = workspace.mutable_policy();
  policy->set_label_pattern(from.label_pattern());
  policy->set_unique_labels(from.unique_labels());
  if (from.max_lifetime_us() != 0) {
    *policy->mutable_max_lifetime() = base::ToProto(absl::Microseconds(from.max_lifetime_us()));
  }
  if (from.rotation_period_us() != 0) {
    *policy->mutable_rotation_period() =
        base::ToProto(absl::Microseconds(from.rotation_period_us()));
  }
  if (from.max_unused_us() != 0) {
    *policy->mutable_max_unused() = base::ToProto(absl::Microseconds(from.max_unused_us()));
  }
  if (from.ended_retention_us() != 0) {
    *policy->mutable_ended_retention() = base::ToProto(
        from.ended_retention_us() == kKeepEnded ? absl::ZeroDuration()
                                                : absl::Microseconds(from.ended_retention_us()));
  }
  *policy->mutable_grantable_scopes() = from.grantable_scopes();
  *policy->mutable_edge_annotations() = from.edge_annotations();
  policy->set_report_attempt_addresses(from.report_attempt_addresses());
  policy->set_max_live_tokens(from.max_live_tokens());
  return workspace;
}

absl::StatusOr<tollgate::v1::Workspace> ToCountedWorkspace(const storage::View& view,
                                                           const WorkspaceRecord& record) {
  ASSIGN_OR_RETURN(const int64_t live, storage::LiveTokens(view, record.workspace()));
  tollgate::v1::Workspace workspace = ToWorkspace(record);
  workspace.set_live_token_count(live);
  return workspace;
}

}  // namespace tollgate::service
