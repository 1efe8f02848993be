#include "service/tokens/revoke_cohort.h"

#include <algorithm>
#include <limits>
#include <map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "service/records/held_token.h"
#include "service/records/token_shape.h"
#include "storage/schema.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::CohortRecord;
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

// The most tokens, and due entries, that a command reads on the committer's thread.
constexpr size_t kMostInCommand = 1000;

// Calls `each` with every live token of the workspace, or of the owner in it. False: the workspace
// holds more than `most` tokens of any state, so not all were read.
template <typename Each>
absl::StatusOr<bool> ForEachLive(const storage::View& view, const std::string& workspace,
                                 const std::string& owner, absl::Time now, size_t most, Each each) {
  ASSIGN_OR_RETURN(const token::Cohorts whole, LoadCohorts(view, workspace, ""));
  std::map<std::string, token::Cohorts> by_owner;  // read once each
  const storage::KeyRange range = storage::WorkspaceTokens(workspace);
  std::string from = range.begin;
  TokenRecord record;
  size_t seen = 0;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                     view.Scan(storage::Table::kTokens, from, range.end, kAtATime));
    for (const storage::Entry& entry : entries) {
      if (++seen > most) return false;
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
    if (entries.size() < kAtATime) return true;
    from = storage::KeyAfter(entries.back().key);
  }
}

// Whether other tokens of the workspace may be live now than when `count` was made. May be true
// without a change; is never false after one.
absl::StatusOr<bool> HasMoved(const storage::View& view, const std::string& workspace,
                              const CohortCount& count, absl::Time now) {
  if (now < count.time) return true;  // a clock that was set back
  ASSIGN_OR_RETURN(const auto change,
                   view.Get(storage::Table::kMeta, storage::LiveChangeKey(workspace)));
  if (change.has_value()) {
    ASSIGN_OR_RETURN(const int64_t revision, storage::ParseRevisionKey(*change));
    if (revision > count.revision) return true;
  }
  // A token that time has ended since then has its due entry until a sweep commits the end.
  const std::string subjects = storage::WorkspaceTokens(workspace).begin;
  ASSIGN_OR_RETURN(
      const std::vector<storage::Entry> entries,
      view.Scan(storage::Table::kDue,
                storage::DueKey(ToRecordMicros(count.time), storage::DueKind::kExpire, ""),
                storage::DueKey(ToRecordMicros(now) + 1, storage::DueKind::kExpire, ""),
                kMostInCommand));
  if (entries.size() >= kMostInCommand) return true;
  for (const storage::Entry& entry : entries) {
    ASSIGN_OR_RETURN(const storage::Due due, storage::ParseDueKey(entry.key));
    const bool ends =
        due.kind == storage::DueKind::kExpire || due.kind == storage::DueKind::kRetire;
    if (ends && absl::StartsWith(due.subject, subjects)) return true;
  }
  return false;
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

}  // namespace

absl::StatusOr<std::shared_ptr<RevokeCohortCommand>> RevokeCohortCommand::Make(
    const RevokeTokensRequest& request, absl::string_view actor,
    absl::optional<CohortCount> counted) {
  ASSIGN_OR_RETURN(std::string workspace, CheckShape(request));
  if (request.validate_only()) {
    return base::RefuseField("VALIDATE_ONLY", "validate_only", "asks that nothing be changed");
  }
  Context context{"revoke_cohort", std::move(workspace), std::string(actor), request.request_id(),
                  RequestFingerprint(request)};
  return std::shared_ptr<RevokeCohortCommand>(
      new RevokeCohortCommand(std::move(context), request, counted));
}

absl::Status RevokeCohortCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                        storage::Effects& effects) {
  RETURN_IF_ERROR(LoadWorkspace(view, workspace()).status());
  int64_t count = -1;
  if (request_.has_expected_count()) {
    ASSIGN_OR_RETURN(count, Count(view, slot.now));
    RETURN_IF_ERROR(CheckCount(request_, count));
  }
  CohortRecord cohort;
  cohort.set_workspace(workspace());
  cohort.set_owner(request_.owner());
  cohort.set_revision(slot.revision);
  cohort.set_index(slot.index);
  cohort.set_time_us(ToRecordMicros(slot.now));
  cohort.set_reason(request_.reason());
  RETURN_IF_ERROR(PutCohort(view, std::move(cohort), effects));

  tollgate::v1::Event event;
  event.mutable_cohort_revoked()->set_workspace(workspace());
  event.mutable_cohort_revoked()->set_owner(request_.owner());
  effects.Tell(std::move(event));

  tollgate::store::v1::AuditRecord entry;
  entry.set_actor(actor());
  entry.set_action("cohort.revoke");
  entry.set_resource(token::WorkspaceName(workspace()));
  entry.set_workspace(workspace());
  entry.set_reason(request_.reason());
  if (!request_.owner().empty()) (*entry.mutable_details())["owner"] = request_.owner();
  if (count >= 0) (*entry.mutable_details())["token_count"] = absl::StrCat(count);
  effects.Audit(std::move(entry));

  response_.set_token_count(count);
  response_.set_revision(slot.revision);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> RevokeCohortCommand::Count(const storage::View& view,
                                                   absl::Time now) const {
  bool moved = true;
  if (counted_.has_value()) {
    ASSIGN_OR_RETURN(moved, HasMoved(view, workspace(), *counted_, now));
  }
  if (!moved) return counted_->tokens;
  // R16: counting holds up all other commits, so only a small workspace is counted here.
  int64_t count = 0;
  ASSIGN_OR_RETURN(const bool all,
                   ForEachLive(view, workspace(), request_.owner(), now, kMostInCommand,
                               [&](const TokenRecord&) { ++count; }));
  if (all) return count;
  base::ErrorDetails details;
  details.reason = "COUNT_MOVED";
  details.fields.push_back({"expected_count", "tokens came or went while it was counted"});
  return base::Refuse(
      absl::StatusCode::kAborted,
      "expected_count: tokens of the workspace came or went while they were counted; "
      "nothing was revoked. Try again, or leave expected_count out",
      details);
}

absl::StatusOr<CohortCount> CountLive(const storage::Snapshot& snapshot,
                                      const RevokeTokensRequest& request, absl::Time now) {
  ASSIGN_OR_RETURN(const std::string workspace, CheckShape(request));
  CohortCount count;
  count.revision = snapshot.revision();
  count.time = now;
  RETURN_IF_ERROR(ForEachLive(snapshot, workspace, request.owner(), now,
                              std::numeric_limits<size_t>::max(),
                              [&](const TokenRecord&) { ++count.tokens; })
                      .status());
  return count;
}

absl::StatusOr<RevokeTokensResponse> CountCohort(const storage::View& view,
                                                 const RevokeTokensRequest& request,
                                                 absl::Time now) {
  ASSIGN_OR_RETURN(const std::string workspace, CheckShape(request));
  RETURN_IF_ERROR(LoadWorkspace(view, workspace).status());
  std::unordered_set<std::string> hit;
  RETURN_IF_ERROR(ForEachLive(view, workspace, request.owner(), now,
                              std::numeric_limits<size_t>::max(),
                              [&](const TokenRecord& record) { hit.insert(record.token_id()); })
                      .status());
  RETURN_IF_ERROR(CheckCount(request, static_cast<int64_t>(hit.size())));

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

  RevokeTokensResponse response;
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
