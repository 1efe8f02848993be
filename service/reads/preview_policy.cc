#include "service/reads/preview_policy.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "service/reads/page_token.h"
#include "service/reads/scan_page.h"
#include "service/records/field_time.h"
#include "service/records/held_token.h"
#include "service/records/retention.h"
#include "service/records/unused_watch.h"
#include "service/use/silence.h"
#include "service/workspaces/policy_change.h"
#include "service/workspaces/policy_rules.h"
#include "storage/schema.h"
#include "token/resource_name.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::PolicyRecord;
using ::tollgate::store::v1::WorkspaceRecord;
using ::tollgate::v1::PolicyImpact;

constexpr size_t kUsualPage = 50;

// What `policy` means for the token, of which it is not the policy yet; an impact without a token:
// nothing.
PolicyImpact ImpactOf(const HeldToken& token, const PolicyRecord& policy,
                      const std::vector<EdgeUseRow>& uses, absl::Time jump, absl::Time now) {
  PolicyImpact impact;
  // As the sweep counts (SweepCommand::WatchUnused). One that is used now and then is left out,
  // because every token has a time at which it would end if nobody used it from now on.
  const absl::Duration limit = UnusedLimit(token.record, policy);
  if (limit != absl::ZeroDuration() && !token.record.suspended()) {
    absl::Time last = std::max(
        {FromRecordMicros(token.record.create_time_us()), LastResumed(token.record), jump});
    if (!uses.empty()) last = std::max(last, uses.front().last_used);
    if (last + limit <= now) {
      *impact.mutable_unused_end_time() =
          base::ToProto(std::max(last, FromRecordMicros(policy.max_unused_since_us())) + limit);
    }
  }
  // A token that has been rotated is rotated no more.
  if (token.record.replaced_by_token_id().empty()) {
    const auto grantable = GrantableScopes(policy, token.record.scopes());
    for (const std::string& scope : token.record.scopes()) {
      if (std::find(grantable.begin(), grantable.end(), scope) == grantable.end()) {
        impact.add_ungrantable_scopes(scope);
      }
    }
    impact.set_label_mismatch(!CheckReplacementLabel(policy, token.record.label()).ok());
  }
  if (!impact.has_unused_end_time() && impact.ungrantable_scopes().empty() &&
      !impact.label_mismatch()) {
    return impact;
  }
  *impact.mutable_token() = ToResource(token, now);
  if (!uses.empty()) {
    *impact.mutable_token()->mutable_last_used_time() = base::ToProto(uses.front().last_used);
    impact.set_last_used_edge(uses.front().edge);
  }
  return impact;
}

// Whether the record of an ended token goes at once under this policy.
bool IsPurgedBy(const tollgate::store::v1::TokenRecord& record, const PolicyRecord& policy,
                absl::Time now) {
  return record.has_ending() && PurgeTime(record, policy) <= now;
}

}  // namespace

absl::StatusOr<tollgate::v1::PreviewWorkspacePolicyResponse> PreviewPolicy(
    const storage::View& view, const tollgate::v1::PreviewWorkspacePolicyRequest& request,
    absl::Time now) {
  ASSIGN_OR_RETURN(const std::string workspace, token::ParseWorkspaceName(request.name(), "name"));
  RETURN_IF_ERROR(CheckPolicyChange(request.policy(), request.update_mask()));
  ASSIGN_OR_RETURN(const size_t page_size, ReadPageSize(request.page_size(), kUsualPage));
  const std::string binding =
      absl::StrCat("policy\n", workspace, "\n", storage::SerializeRecord(request.policy()), "\n",
                   storage::SerializeRecord(request.update_mask()));
  ASSIGN_OR_RETURN(const std::string after, ReadPageToken(binding, request.page_token()));
  ASSIGN_OR_RETURN(const WorkspaceRecord owning, LoadWorkspace(view, workspace));
  PolicyRecord policy = owning.policy();
  RETURN_IF_ERROR(ChangePolicy(request.policy(), request.update_mask(), now, &policy));
  ASSIGN_OR_RETURN(const absl::Time jump, LastTimeJump(view));

  tollgate::v1::PreviewWorkspacePolicyResponse response;
  const auto add = [&](const storage::Entry& entry) -> absl::StatusOr<size_t> {
    HeldToken token;
    if (!token.record.ParseFromString(entry.value)) {
      return absl::DataLossError("a token's record cannot be parsed");
    }
    token.policy = owning.policy();
    ASSIGN_OR_RETURN(token.cohorts, LoadCohorts(view, workspace, token.record.owner()));
    if (token::IsFinal(token.StateAt(now))) {
      if (IsPurgedBy(token.record, policy, now) &&
          !IsPurgedBy(token.record, owning.policy(), now)) {
        response.set_purged_count(response.purged_count() + 1);
      }
      return 0;
    }
    response.set_examined_count(response.examined_count() + 1);
    ASSIGN_OR_RETURN(const auto uses, ReadUses(view, workspace, token.record.token_id(), now));
    PolicyImpact impact = ImpactOf(token, policy, uses, jump, now);
    if (!impact.has_token()) return 0;
    *response.add_impacts() = std::move(impact);
    return response.impacts().rbegin()->ByteSizeLong();
  };
  ASSIGN_OR_RETURN(
      const absl::optional<std::string> last,
      ScanPage(view, storage::Table::kTokens, TokensAfter(workspace, after), page_size, add));
  if (last.has_value()) {
    ASSIGN_OR_RETURN(const storage::TokenKeyParts parts, storage::ParseTokenKey(*last));
    response.set_next_page_token(MakePageToken(binding, parts.token_id));
  }
  return response;
}

}  // namespace tollgate::service
