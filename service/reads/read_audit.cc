#include "service/reads/read_audit.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "google/protobuf/text_format.h"
#include "service/reads/page_token.h"
#include "service/reads/scan_page.h"
#include "service/records/audit_changes.h"
#include "service/records/cohorts_entry.h"
#include "service/records/field_time.h"
#include "service/records/held_token.h"
#include "storage/schema.h"
#include "token/resource_name.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::AuditChainRecord;
using ::tollgate::store::v1::AuditChange;
using ::tollgate::store::v1::AuditRecord;
using ::tollgate::v1::AuditEntry;
using ::tollgate::v1::AuditFilter;
using ::tollgate::v1::ListAuditEntriesRequest;
using ::tollgate::v1::ListAuditEntriesResponse;

constexpr size_t kUsualAuditPage = 100;
constexpr int kMostActions = 32;
constexpr size_t kLongestAction = 64;

// A filter, taken apart once.
struct AuditCondition {
  const AuditFilter* filter = nullptr;
  std::string workspace;                   // "": any
  absl::optional<token::TokenName> token;  // nullopt: whatever they are about
  absl::optional<absl::Time> since;
  absl::optional<absl::Time> until;
};

// `token.revoke`, `restore`, `token.*`.
bool IsActionPattern(absl::string_view action) {
  if (action.empty() || action.size() > kLongestAction) return false;
  absl::ConsumeSuffix(&action, ".*");
  return !action.empty() && std::all_of(action.begin(), action.end(), [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) || c == '_' || c == '.';
  });
}

absl::StatusOr<AuditCondition> ReadAuditFilter(const ListAuditEntriesRequest& request,
                                               absl::Time now) {
  const AuditFilter& filter = request.filter();
  AuditCondition condition;
  condition.filter = &filter;
  if (!request.parent().empty()) {
    ASSIGN_OR_RETURN(condition.workspace, token::ParseWorkspaceName(request.parent(), "parent"));
  }
  if (!filter.token().empty()) {
    ASSIGN_OR_RETURN(condition.token, token::ParseTokenName(filter.token(), "filter.token"));
    if (!condition.workspace.empty() && condition.workspace != condition.token->workspace) {
      return base::RefuseField("TOKEN_OF_OTHER_WORKSPACE", "filter.token",
                               "is a token of another workspace than parent");
    }
    condition.workspace.clear();  // the index says it
  }
  if (filter.actions_size() > kMostActions) {
    return base::RefuseField("TOO_MANY_ACTIONS", "filter.actions", "are more than 32");
  }
  for (int i = 0; i < filter.actions_size(); ++i) {
    if (IsActionPattern(filter.actions(i))) continue;
    return base::RefuseField("ACTION_MALFORMED", absl::StrCat("filter.actions[", i, "]"),
                             "is no action; write one as in token.revoke, or token.* for all of "
                             "its kind");
  }
  ASSIGN_OR_RETURN(
      condition.since,
      TimeOrDuration(filter.has_since(), filter.since(), "filter.since", filter.has_since_ago(),
                     filter.since_ago(), "filter.since_ago", now, -1));
  ASSIGN_OR_RETURN(
      condition.until,
      TimeOrDuration(filter.has_until(), filter.until(), "filter.until", filter.has_until_ago(),
                     filter.until_ago(), "filter.until_ago", now, -1));
  if (condition.since.has_value() && condition.until.has_value() &&
      *condition.until <= *condition.since) {
    return base::RefuseField("TIMES_REVERSED", "filter.until",
                             "is not after filter.since: no entry lies between them");
  }
  return condition;
}

bool IsOf(absl::string_view action, absl::string_view pattern) {
  if (absl::ConsumeSuffix(&pattern, "*")) return absl::StartsWith(action, pattern);
  return action == pattern;
}

bool Matches(const AuditCondition& condition, const AuditRecord& record) {
  const AuditFilter& filter = *condition.filter;
  if (!condition.workspace.empty() && record.workspace() != condition.workspace) return false;
  if (!filter.actor().empty() && record.actor() != filter.actor()) return false;
  if (filter.actions_size() > 0 &&
      std::none_of(filter.actions().begin(), filter.actions().end(),
                   [&](const std::string& one) { return IsOf(record.action(), one); })) {
    return false;
  }
  const absl::Time time = absl::FromUnixMicros(record.time_us());
  if (condition.since.has_value() && time < *condition.since) return false;
  return !condition.until.has_value() || time < *condition.until;
}

absl::Status Parse(const std::string& value, AuditChainRecord* link, AuditRecord* record) {
  if (link->ParseFromString(value) && record->ParseFromString(link->content())) {
    return absl::OkStatus();
  }
  return absl::DataLossError("an audit entry cannot be parsed");
}

// The entries to look at, in the order that was asked for. Positions are keys of table audit.
class Source {
 public:
  Source(const storage::Snapshot& snapshot, int64_t from_revision, bool backwards)
      : snapshot_(snapshot), begin_(storage::AuditKey(from_revision, 0)), backwards_(backwards) {}

  // Only those about a token. TOKEN_NOT_FOUND.
  absl::Status Narrow(const token::TokenName& name) {
    token_ = name;
    ASSIGN_OR_RETURN(const auto held, FindToken(snapshot_, name.workspace, name.token_id));
    if (!held.has_value()) {
      const storage::KeyRange all = IndexRange("", "");
      ASSIGN_OR_RETURN(const auto any, snapshot_.Scan(storage::Table::kAuditByToken, all.begin,
                                                      all.end, /*limit=*/1));
      if (any.empty()) return LoadToken(snapshot_, name.workspace, name.token_id).status();
      return absl::OkStatus();
    }
    // What it tells of its end depends on no time: a watermark's is a commit's.
    const tollgate::v1::TokenEnd end = ToResource(*held, absl::UnixEpoch()).end();
    if (end.cause() != tollgate::v1::END_CAUSE_COHORT) return absl::OkStatus();
    ASSIGN_OR_RETURN(cohorts_,
                     CohortsEntry(snapshot_, name.workspace, held->record.owner(), end.revision()));
    return absl::OkStatus();
  }

  // Up to `want` entries behind `after` ("": from the first on).
  absl::StatusOr<std::vector<storage::Entry>> Fetch(const std::string& after, size_t want) const {
    const std::string begin = backwards_ || after.empty() ? begin_ : storage::KeyAfter(after);
    const std::string end = backwards_ ? after : std::string();
    if (!token_.has_value()) return Scan(storage::Table::kAudit, begin, end, want);

    const storage::KeyRange range = IndexRange(begin, end);
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> rows,
                     Scan(storage::Table::kAuditByToken, range.begin, range.end, want));
    std::vector<std::string> keys;
    for (const storage::Entry& row : rows) {
      ASSIGN_OR_RETURN(std::string key, storage::AuditKeyOf(row.key));
      keys.push_back(std::move(key));
    }
    AddCohorts(begin, end, want, &keys);
    std::vector<storage::Entry> entries;
    for (std::string& key : keys) {
      ASSIGN_OR_RETURN(auto value, snapshot_.Get(storage::Table::kAudit, key));
      if (!value.has_value()) return absl::DataLossError("an audit entry is missing");
      entries.push_back({std::move(key), *std::move(value)});
    }
    return entries;
  }

 private:
  absl::StatusOr<std::vector<storage::Entry>> Scan(storage::Table table, const std::string& begin,
                                                   const std::string& end, size_t want) const {
    return backwards_ ? snapshot_.ScanBack(table, begin, end, want)
                      : snapshot_.Scan(table, begin, end, want);
  }

  storage::KeyRange IndexRange(const std::string& begin, const std::string& end) const {
    const auto key = [&](const std::string& audit_key) {
      return storage::AuditByTokenKey(token_->workspace, token_->token_id, audit_key);
    };
    return {key(begin), end.empty() ? storage::PrefixEnd(key("")) : key(end)};
  }

  // Adds the watermark's entry to the first `want` keys, where it is one of them.
  void AddCohorts(const std::string& begin, const std::string& end, size_t want,
                  std::vector<std::string>* keys) const {
    if (cohorts_.empty() || cohorts_ < begin || (!end.empty() && cohorts_ >= end)) return;
    const auto before = [this](const std::string& a, const std::string& b) {
      return backwards_ ? a > b : a < b;
    };
    const auto at = std::lower_bound(keys->begin(), keys->end(), cohorts_, before);
    if (at != keys->end() && *at == cohorts_) return;
    keys->insert(at, cohorts_);
    if (keys->size() > want) keys->pop_back();
  }

  const storage::Snapshot& snapshot_;
  const std::string begin_;
  const bool backwards_;
  absl::optional<token::TokenName> token_;
  std::string cohorts_;  // the key of the entry that ended the token with others; "": none did
};

// A policy as a service wrote it before it kept changes: as debug text, among the details.
void ReadOldPolicy(AuditRecord* record) {
  const auto policy = record->details().find("policy");
  if (record->action() != "policy.update" || policy == record->details().end()) return;
  tollgate::store::v1::PolicyRecord parsed;
  google::protobuf::TextFormat::Parser parser;
  parser.AllowUnknownField(true);
  if (!parser.ParseFromString(policy->second, &parsed)) return;
  NoteMade(parsed, record);
  record->mutable_details()->erase("policy");
}

AuditEntry ToEntry(const AuditChainRecord& link, AuditRecord record) {
  ReadOldPolicy(&record);
  AuditEntry entry;
  entry.set_revision(record.revision());
  entry.set_index(record.index());
  *entry.mutable_time() = base::ToProto(absl::FromUnixMicros(record.time_us()));
  entry.set_actor(record.actor());
  entry.set_action(record.action());
  entry.set_resource(record.resource());
  entry.set_reason(record.reason());
  *entry.mutable_details() = std::move(*record.mutable_details());
  entry.set_origin(record.origin());
  for (AuditChange& from : *record.mutable_changes()) {
    tollgate::v1::FieldChange* change = entry.add_changes();
    change->set_field(from.field());
    if (from.has_before()) *change->mutable_before() = std::move(*from.mutable_before());
    if (from.has_after()) *change->mutable_after() = std::move(*from.mutable_after());
    change->set_cut(from.cut());
  }
  entry.set_hash(link.hash());
  entry.set_hashed_content(link.content());
  return entry;
}

// What a page token is bound to: all of the request but for where the page lies.
std::string BindingOf(ListAuditEntriesRequest request) {
  request.clear_page_token();
  request.clear_page_size();
  return absl::StrCat("audit\n", storage::SerializeRecord(request));
}

}  // namespace

absl::StatusOr<ListAuditEntriesResponse> ReadAuditEntries(const storage::Snapshot& snapshot,
                                                          const ListAuditEntriesRequest& request,
                                                          absl::Time now, AuditReach reach) {
  if (request.from_revision() < 0) {
    return base::RefuseField("FROM_REVISION_NEGATIVE", "from_revision", "is below 0");
  }
  ASSIGN_OR_RETURN(const AuditCondition condition, ReadAuditFilter(request, now));
  ASSIGN_OR_RETURN(const size_t page_size, ReadPageSize(request.page_size(), kUsualAuditPage));
  const std::string binding = BindingOf(request);
  ASSIGN_OR_RETURN(const std::string after, ReadPageToken(binding, request.page_token()));
  int64_t from_revision = request.from_revision();
  if (reach == AuditReach::kWorkspaceAsItIs) {
    const std::string& workspace =
        condition.token.has_value() ? condition.token->workspace : condition.workspace;
    ASSIGN_OR_RETURN(const auto there, storage::GetRecord<tollgate::store::v1::WorkspaceRecord>(
                                           snapshot, storage::Table::kWorkspaces, workspace));
    if (!there.has_value()) return ListAuditEntriesResponse();
    from_revision = std::max(from_revision, there->create_revision());
  }
  Source source(snapshot, from_revision, request.newest_first());
  if (condition.token.has_value()) RETURN_IF_ERROR(source.Narrow(*condition.token));

  ListAuditEntriesResponse response;
  const auto fetch = [&](const std::string& behind, size_t want) {
    return source.Fetch(behind, want);
  };
  const auto add = [&](const storage::Entry& entry) -> absl::StatusOr<size_t> {
    AuditChainRecord link;
    AuditRecord record;
    RETURN_IF_ERROR(Parse(entry.value, &link, &record));
    if (!Matches(condition, record)) return 0;
    *response.add_entries() = ToEntry(link, std::move(record));
    return response.entries().rbegin()->ByteSizeLong();
  };
  ASSIGN_OR_RETURN(const absl::optional<std::string> last, FillPage(after, page_size, fetch, add));
  if (last.has_value()) response.set_next_page_token(MakePageToken(binding, *last));
  return response;
}

}  // namespace tollgate::service
