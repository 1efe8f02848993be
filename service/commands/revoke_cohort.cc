#include "service/commands/revoke_cohort.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "service/commands/held_token.h"
#include "service/commands/token_shape.h"
#include "storage/schema.h"

namespace tollgate {
namespace {

using ::tollgate::store::v1::CohortRecord;
using ::tollgate::store::v1::TokenRecord;
using ::tollgate::v1::RevokeTokensRequest;
using ::tollgate::v1::RevokeTokensResponse;

constexpr size_t kAtATime = 1000;
constexpr size_t kMostRecent = 20;
constexpr absl::Duration kLately = absl::Hours(24 * 30);

absl::StatusOr<std::string> CheckShape(const RevokeTokensRequest& request) {
  ASSIGN_OR_RETURN(std::string workspace, ParseWorkspaceName(request.parent(), "parent"));
  RETURN_IF_ERROR(CheckOwner(request.owner(), "owner"));
  RETURN_IF_ERROR(CheckReason(request.reason(), "reason"));
  RETURN_IF_ERROR(CheckRequestId(request.request_id(), "request_id"));
  if (request.has_expected_count() && request.expected_count() < 0) {
    return RefuseField("EXPECTED_COUNT_NEGATIVE", "expected_count", "is below 0");
  }
  return workspace;
}

// Calls `each` with every live token of the workspace, or of the owner in it.
template <typename Each>
absl::Status ForEachLive(const View& view, const std::string& workspace, const std::string& owner,
                         absl::Time now, Each each) {
  ASSIGN_OR_RETURN(const Cohorts whole, LoadCohorts(view, workspace, ""));
  std::map<std::string, Cohorts> by_owner;  // read once each
  const KeyRange range = WorkspaceTokens(workspace);
  std::string from = range.begin;
  TokenRecord record;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<Entry> entries,
                     view.Scan(Table::kTokens, from, range.end, kAtATime));
    for (const Entry& entry : entries) {
      if (!record.ParseFromString(entry.value)) {
        return absl::DataLossError("a token's record cannot be parsed");
      }
      if (!owner.empty() && record.owner() != owner) continue;
      const Cohorts* cohorts = &whole;
      if (!record.owner().empty()) {
        auto it = by_owner.find(record.owner());
        if (it == by_owner.end()) {
          ASSIGN_OR_RETURN(Cohorts read, LoadCohorts(view, workspace, record.owner()));
          it = by_owner.emplace(record.owner(), std::move(read)).first;
        }
        cohorts = &it->second;
      }
      if (IsLive(StateAt(record, *cohorts, now))) each(record);
    }
    if (entries.size() < kAtATime) return absl::OkStatus();
    from = KeyAfter(entries.back().key);
  }
}

absl::Status CheckCount(const RevokeTokensRequest& request, int64_t count) {
  if (!request.has_expected_count() || request.expected_count() == count) return absl::OkStatus();
  ErrorDetails details;
  details.reason = "COUNT_MISMATCH";
  details.metadata = {{"expected_count", absl::StrCat(request.expected_count())},
                      {"token_count", absl::StrCat(count)}};
  details.fields.push_back({"expected_count", absl::StrCat("it would revoke ", count, " tokens")});
  return Refuse(absl::StatusCode::kFailedPrecondition,
                absl::StrCat("expected_count: would revoke ", count, " tokens, and ",
                             request.expected_count(),
                             " were expected; nothing was revoked. Look again with validate_only"),
                details);
}

}  // namespace

absl::StatusOr<std::shared_ptr<RevokeCohortCommand>> RevokeCohortCommand::Make(
    const RevokeTokensRequest& request, absl::string_view actor) {
  ASSIGN_OR_RETURN(std::string workspace, CheckShape(request));
  if (request.validate_only()) {
    return RefuseField("VALIDATE_ONLY", "validate_only", "asks that nothing be changed");
  }
  Context context{"revoke_cohort", std::move(workspace), std::string(actor), request.request_id(),
                  RequestFingerprint(request)};
  return std::shared_ptr<RevokeCohortCommand>(new RevokeCohortCommand(std::move(context), request));
}

absl::Status RevokeCohortCommand::Apply(const View& view, const Slot& slot, Effects& effects) {
  RETURN_IF_ERROR(LoadWorkspace(view, workspace()).status());
  int64_t count = -1;
  if (request_.has_expected_count()) {
    count = 0;
    RETURN_IF_ERROR(ForEachLive(view, workspace(), request_.owner(), slot.now,
                                [&](const TokenRecord&) { ++count; }));
    RETURN_IF_ERROR(CheckCount(request_, count));
  }
  CohortRecord cohort;
  cohort.set_workspace(workspace());
  cohort.set_owner(request_.owner());
  cohort.set_revision(slot.revision);
  cohort.set_index(slot.index);
  cohort.set_time_us(ToRecordMicros(slot.now));
  cohort.set_reason(request_.reason());
  effects.Put(Table::kCohorts, CohortKey(workspace(), request_.owner()), cohort);

  tollgate::v1::Event event;
  event.mutable_cohort_revoked()->set_workspace(workspace());
  event.mutable_cohort_revoked()->set_owner(request_.owner());
  effects.Tell(std::move(event));

  tollgate::store::v1::AuditRecord entry;
  entry.set_actor(actor());
  entry.set_action("cohort.revoke");
  entry.set_resource(WorkspaceName(workspace()));
  entry.set_workspace(workspace());
  entry.set_reason(request_.reason());
  if (!request_.owner().empty()) (*entry.mutable_details())["owner"] = request_.owner();
  if (count >= 0) (*entry.mutable_details())["token_count"] = absl::StrCat(count);
  effects.Audit(std::move(entry));

  response_.set_token_count(count);
  response_.set_revision(slot.revision);
  return absl::OkStatus();
}

absl::StatusOr<RevokeTokensResponse> CountCohort(const View& view,
                                                 const RevokeTokensRequest& request,
                                                 absl::Time now) {
  ASSIGN_OR_RETURN(const std::string workspace, CheckShape(request));
  RETURN_IF_ERROR(LoadWorkspace(view, workspace).status());
  std::unordered_set<std::string> hit;
  RETURN_IF_ERROR(ForEachLive(view, workspace, request.owner(), now,
                              [&](const TokenRecord& record) { hit.insert(record.token_id()); }));
  RETURN_IF_ERROR(CheckCount(request, static_cast<int64_t>(hit.size())));

  // The latest use of each, in one pass; only the latest few are kept.
  std::vector<std::pair<int64_t, std::string>> recent;
  const auto later = [](const auto& a, const auto& b) { return a > b; };
  const auto keep = [&](const std::string& token_id, int64_t last_used_us) {
    if (token_id.empty() || absl::FromUnixMicros(last_used_us) < now - kLately ||
        hit.count(token_id) == 0) {
      return;
    }
    recent.emplace_back(last_used_us, token_id);
    std::push_heap(recent.begin(), recent.end(), later);
    if (recent.size() > kMostRecent) {
      std::pop_heap(recent.begin(), recent.end(), later);
      recent.pop_back();
    }
  };
  const KeyRange range = UsesOfWorkspace(workspace);
  std::string from = range.begin;
  std::string token_id;
  int64_t last_used_us = 0;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<Entry> entries,
                     view.Scan(Table::kUse, from, range.end, kAtATime));
    for (const Entry& entry : entries) {
      ASSIGN_OR_RETURN(const UseKeyParts parts, ParseUseKey(entry.key));
      tollgate::store::v1::UseRecord use;
      if (!use.ParseFromString(entry.value)) continue;
      if (parts.token_id != token_id) {
        keep(token_id, last_used_us);
        token_id = parts.token_id;
        last_used_us = 0;
      }
      last_used_us = std::max(last_used_us, use.last_used_us());
    }
    if (entries.size() < kAtATime) break;
    from = KeyAfter(entries.back().key);
  }
  keep(token_id, last_used_us);
  std::sort(recent.begin(), recent.end(), later);

  RevokeTokensResponse response;
  response.set_token_count(static_cast<int64_t>(hit.size()));
  for (const auto& use : recent) {
    ASSIGN_OR_RETURN(const HeldToken token, LoadToken(view, workspace, use.second));
    tollgate::v1::Token* resource = response.add_recently_used();
    *resource = ToResource(token, now);
    SetTimestamp(absl::FromUnixMicros(use.first), resource->mutable_last_used_time());
  }
  return response;
}

}  // namespace tollgate
