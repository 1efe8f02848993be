#include "service/tokens/revoke_cohort.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/proto_time.h"
#include "service/records/held_token.h"
#include "service/records/near_names.h"
#include "service/records/token_shape.h"
#include "storage/live_count.h"
#include "storage/schema.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::CohortRecord;
using ::tollgate::store::v1::Ending;
using ::tollgate::store::v1::TokenRecord;
using ::tollgate::v1::RevokeTokensRequest;
using ::tollgate::v1::RevokeTokensResponse;

constexpr size_t kAtATime = 1000;
constexpr size_t kMostRecent = 20;
constexpr absl::Duration kLately = absl::Hours(24 * 30);

absl::StatusOr<std::string> CheckShape(const RevokeTokensRequest& request) {
  ASSIGN_OR_RETURN(std::string workspace, token::ParseWorkspaceName(request.parent(), "parent"));
  RETURN_IF_ERROR(token::CheckOwner(request.owner(), "owner"));
  RETURN_IF_ERROR(token::CheckReason(request.reason(), "reason"));
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  if (request.has_expected_count() && request.expected_count() < 0) {
    return base::RefuseField("EXPECTED_COUNT_NEGATIVE", "expected_count", "is below 0");
  }
  return workspace;
}

// The most counts, and due entries, that a command reads on the committer's thread (R16).
constexpr size_t kMostInCommand = 1000;

// Calls `each` with every live token of the workspace, or of the owner in it.
template <typename Each>
absl::Status ForEachLive(const storage::View& view, const std::string& workspace,
                         const std::string& owner, absl::Time now, Each each) {
  ASSIGN_OR_RETURN(const token::Cohorts whole, LoadCohorts(view, workspace, ""));
  std::map<std::string, token::Cohorts> by_owner;  // read once each
  const storage::KeyRange range = storage::WorkspaceTokens(workspace);
  std::string from = range.begin;
  TokenRecord record;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                     view.Scan(storage::Table::kTokens, from, range.end, kAtATime));
    for (const storage::Entry& entry : entries) {
      if (!record.ParseFromString(entry.value)) {
        return absl::DataLossError("a token's record cannot be parsed");
      }
      if (!owner.empty() && record.owner() != owner) continue;
      const token::Cohorts* cohorts = &whole;
      if (!record.owner().empty()) {
        auto it = by_owner.find(record.owner());
        if (it == by_owner.end()) {
          ASSIGN_OR_RETURN(token::Cohorts read, LoadCohorts(view, workspace, record.owner()));
          it = by_owner.emplace(record.owner(), std::move(read)).first;
        }
        cohorts = &it->second;
      }
      if (token::IsLive(token::StateAt(record, *cohorts, now))) each(record);
    }
    if (entries.size() < kAtATime) return absl::OkStatus();
    from = storage::KeyAfter(entries.back().key);
  }
}

// How many of the tokens that are counted as live time has ended already: a sweep commits their
// ends in a moment. Of more than kMostInCommand due entries only the first are looked at, and what
// is told is then that much too high.
absl::StatusOr<int64_t> EndedUnswept(const storage::View& view, const std::string& workspace,
                                     const std::string& owner, absl::Time now) {
  const std::string subjects = storage::WorkspaceTokens(workspace).begin;
  ASSIGN_OR_RETURN(
      const std::vector<storage::Entry> entries,
      view.Scan(storage::Table::kDue, storage::DueKey(1, storage::DueKind::kExpire, ""),
                storage::DueKey(ToRecordMicros(now) + 1, storage::DueKind::kExpire, ""),
                kMostInCommand));
  std::set<std::string> ended;
  for (const storage::Entry& entry : entries) {
    ASSIGN_OR_RETURN(const storage::Due due, storage::ParseDueKey(entry.key));
    const bool ends =
        due.kind == storage::DueKind::kExpire || due.kind == storage::DueKind::kRetire;
    if (!ends || !absl::StartsWith(due.subject, subjects)) continue;
    ASSIGN_OR_RETURN(const storage::TokenKeyParts parts, storage::ParseTokenKey(due.subject));
    ASSIGN_OR_RETURN(const auto token, FindToken(view, workspace, parts.token_id));
    if (!token.has_value() || (!owner.empty() && token->record.owner() != owner)) continue;
    if (EndedByTime(*token, now) != Ending::KIND_UNSPECIFIED) ended.insert(parts.token_id);
  }
  return static_cast<int64_t>(ended.size());
}

// "team-payments (312 live tokens)" of the owners that the name may have been meant for, nearest
// first; empty: none.
absl::StatusOr<std::string> NearOwners(const storage::View& view, const std::string& workspace,
                                       const std::string& owner) {
  ASSIGN_OR_RETURN(const std::vector<storage::OwnerCount> owners,
                   storage::LiveOwners(view, workspace, kMostInCommand));
  std::map<std::string, int64_t> live;
  std::vector<std::string> names;
  for (const storage::OwnerCount& other : owners) {
    live[other.owner] = other.live;
    names.push_back(other.owner);
  }
  return absl::StrJoin(NearNames(owner, names), ", ",
                       [&](std::string* out, const std::string& name) {
                         absl::StrAppend(out, name, " (", live[name], " live ",
                                         live[name] == 1 ? "token" : "tokens", ")");
                       });
}

// A watermark that hits nobody looks like a deed, and forbids later that a token be given to the
// owner of that name.
absl::Status RefuseNothing(const storage::View& view, const RevokeTokensRequest& request,
                           const std::string& workspace) {
  base::ErrorDetails details;
  details.reason = "NOTHING_TO_REVOKE";
  std::string what = absl::StrCat(workspace, " has no live token");
  if (!request.owner().empty()) {
    details.fields.push_back({"owner", "owns no live token"});
    absl::StrAppend(&what, " that is owned by ", request.owner());
    ASSIGN_OR_RETURN(const std::string near, NearOwners(view, workspace, request.owner()));
    if (!near.empty()) absl::StrAppend(&what, "; perhaps you mean ", near);
  }
  return base::Refuse(absl::StatusCode::kFailedPrecondition,
                      absl::StrCat(what, ". Nothing was revoked"), details);
}

absl::Status CheckCount(const RevokeTokensRequest& request, int64_t count) {
  if (!request.has_expected_count() || request.expected_count() == count) return absl::OkStatus();
  base::ErrorDetails details;
  details.reason = "COUNT_MISMATCH";
  details.metadata = {{"expected_count", absl::StrCat(request.expected_count())},
                      {"token_count", absl::StrCat(count)}};
  details.fields.push_back({"expected_count", absl::StrCat("it would revoke ", count,
                                                           count == 1 ? " token" : " tokens")});
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("expected_count: would revoke ", count, " tokens, and ",
                   request.expected_count(),
                   " were expected; nothing was revoked. Look again with validate_only"),
      details);
}

// Judges a number before anything is written.
absl::Status CheckHit(const storage::View& view, const RevokeTokensRequest& request,
                      const std::string& workspace, int64_t count) {
  RETURN_IF_ERROR(CheckCount(request, count));
  const bool told = request.allow_empty() || request.has_expected_count();
  return count > 0 || told ? absl::OkStatus() : RefuseNothing(view, request, workspace);
}

ChangeContext ContextOf(const RevokeTokensRequest& request, std::string workspace,
                        absl::string_view actor) {
  return {"revoke_cohort", std::move(workspace), std::string(actor), request.request_id(),
          RequestFingerprint(request)};
}

}  // namespace

absl::StatusOr<std::shared_ptr<RevokeCohortCommand>> RevokeCohortCommand::Make(
    const RevokeTokensRequest& request, absl::string_view actor) {
  ASSIGN_OR_RETURN(std::string workspace, CheckShape(request));
  if (request.validate_only()) {
    return base::RefuseField("VALIDATE_ONLY", "validate_only", "asks that nothing be changed");
  }
  return std::shared_ptr<RevokeCohortCommand>(
      new RevokeCohortCommand(ContextOf(request, std::move(workspace), actor), request));
}

absl::Status RevokeCohortCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                        storage::Effects& effects) {
  RETURN_IF_ERROR(LoadWorkspace(view, workspace()).status());
  ASSIGN_OR_RETURN(const int64_t counted, storage::LiveTokens(view, workspace(), request_.owner()));
  ASSIGN_OR_RETURN(const int64_t ended,
                   EndedUnswept(view, workspace(), request_.owner(), slot.now));
  const int64_t count = counted - ended;
  RETURN_IF_ERROR(CheckHit(view, request_, workspace(), count));
  CohortRecord cohort;
  cohort.set_workspace(workspace());
  cohort.set_owner(request_.owner());
  cohort.set_revision(slot.revision);
  cohort.set_index(slot.index);
  cohort.set_time_us(ToRecordMicros(slot.now));
  cohort.set_reason(request_.reason());
  cohort.set_actor(actor());
  cohort.set_ended_none(counted == 0);
  RETURN_IF_ERROR(PutCohort(view, std::move(cohort), effects));

  tollgate::v1::Event event;
  event.mutable_cohort_revoked()->set_workspace(workspace());
  event.mutable_cohort_revoked()->set_owner(request_.owner());
  effects.Tell(std::move(event));

  tollgate::store::v1::AuditRecord entry = AuditOfWorkspace(actor(), "cohort.revoke", workspace());
  entry.set_reason(request_.reason());
  if (!request_.owner().empty()) (*entry.mutable_details())["owner"] = request_.owner();
  (*entry.mutable_details())["token_count"] = absl::StrCat(count);
  effects.Audit(std::move(entry));

  response_.set_token_count(count);
  response_.set_revision(slot.revision);
  return absl::OkStatus();
}

absl::StatusOr<RevokeTokensResponse> CountCohort(const storage::View& view,
                                                 const RevokeTokensRequest& request,
                                                 absl::string_view actor, absl::Time now) {
  ASSIGN_OR_RETURN(const std::string workspace, CheckShape(request));
  RETURN_IF_ERROR(LoadWorkspace(view, workspace).status());
  RevokeTokensResponse response;
  if (!request.request_id().empty()) {
    ASSIGN_OR_RETURN(const absl::optional<std::string> first,
                     FirstAnswer(view, ContextOf(request, workspace, actor)));
    if (first.has_value()) {
      if (response.ParseFromString(*first)) return response;
      return absl::DataLossError("the first answer to this request_id cannot be read");
    }
  }
  std::unordered_set<std::string> hit;
  RETURN_IF_ERROR(ForEachLive(view, workspace, request.owner(), now,
                              [&](const TokenRecord& record) { hit.insert(record.token_id()); }));
  RETURN_IF_ERROR(CheckHit(view, request, workspace, static_cast<int64_t>(hit.size())));

  // The latest use of each token, in one pass; only the latest few are kept.
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
  const storage::KeyRange range = storage::UsesOfWorkspace(workspace);
  std::string from = range.begin;
  std::string token_id;
  int64_t last_used_us = 0;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                     view.Scan(storage::Table::kUse, from, range.end, kAtATime));
    for (const storage::Entry& entry : entries) {
      ASSIGN_OR_RETURN(const storage::UseKeyParts parts, storage::ParseUseKey(entry.key));
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
    from = storage::KeyAfter(entries.back().key);
  }
  keep(token_id, last_used_us);
  std::sort(recent.begin(), recent.end(), later);

  response.set_token_count(static_cast<int64_t>(hit.size()));
  for (const auto& use : recent) {
    ASSIGN_OR_RETURN(const HeldToken token, LoadToken(view, workspace, use.second));
    tollgate::v1::Token* resource = response.add_recently_used();
    *resource = ToResource(token, now);
    *resource->mutable_last_used_time() = base::ToProto(absl::FromUnixMicros(use.first));
  }
  return response;
}

}  // namespace tollgate::service
