#include "service/reads/read_tokens.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "base/proto_time.h"
#include "service/reads/page_token.h"
#include "service/reads/scan_page.h"
#include "service/records/held_token.h"
#include "service/records/token_shape.h"
#include "service/use/attempts.h"
#include "service/use/silence.h"
#include "service/workspaces/policy_resource.h"
#include "storage/schema.h"
#include "text/label.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::TokenRecord;
using ::tollgate::store::v1::WorkspaceRecord;
using ::tollgate::v1::ListTokensRequest;
using ::tollgate::v1::Token;
using ::tollgate::v1::TokenFilter;

constexpr size_t kUsualPage = 50;

void AddUses(const std::vector<EdgeUseRow>& uses, bool by_edge, Token* token) {
  if (uses.empty()) return;
  *token->mutable_last_used_time() = base::ToProto(uses.front().last_used);
  if (!by_edge) return;
  for (const EdgeUseRow& use : NameLatestEdges(uses)) {
    tollgate::v1::EdgeUse* row = token->add_edge_uses();
    row->set_edge(use.edge);
    *row->mutable_last_used_time() = base::ToProto(use.last_used);
    row->set_use_count(use.count);
    row->set_use_count_today(use.count_today);
  }
}

bool IsDead(tollgate::v1::TokenState state) {
  return state == tollgate::v1::TOKEN_STATE_REVOKED || state == tollgate::v1::TOKEN_STATE_EXPIRED ||
         state == tollgate::v1::TOKEN_STATE_SUSPENDED;
}

// Of a dead token: when it was last tried.
void AddLastTried(const std::vector<EdgeReport>& reports, const TokenRecord& record, Token* token) {
  if (!IsDead(token->state())) return;
  const absl::Time last = LastTried(AttemptsIn(reports), token->state(), LastResumed(record));
  if (last > absl::InfinitePast()) *token->mutable_last_tried_time() = base::ToProto(last);
}

// A filter, taken apart once.
struct Condition {
  std::set<int> states;
  std::string label_lower;  // of its compared form
  const TokenFilter* filter = nullptr;
  absl::optional<absl::Time> unused_since;
  absl::optional<absl::Time> expiring_before;
  absl::optional<absl::Time> rotation_due_before;
  absl::optional<absl::Time> tried_since;

  // It asks what is going to happen, or has not happened: that is asked of tokens that can still be
  // used, unless the states say otherwise.
  bool of_time() const { return unused_since.has_value() || expiring_before.has_value(); }
  // Whether the record and the state decide alone.
  bool plain() const {
    return !of_time() && !rotation_due_before.has_value() && !filter->still_tried();
  }
};

absl::StatusOr<Condition> ReadFilter(const TokenFilter& filter, absl::Time now) {
  Condition condition;
  condition.filter = &filter;
  for (const int state : filter.states()) {
    if (state == tollgate::v1::TOKEN_STATE_UNSPECIFIED ||
        !tollgate::v1::TokenState_IsValid(state)) {
      return base::RefuseField("STATE_UNKNOWN", "filter.states",
                               "holds what is no state of a token");
    }
    condition.states.insert(state);
  }
  if (filter.label_contains().size() > 4 * text::kMaxLabelLength) {
    return base::RefuseField("LABEL_TOO_LONG", "filter.label_contains", "is longer than any label");
  }
  condition.label_lower = absl::AsciiStrToLower(text::ComparedLabel(filter.label_contains()));
  if (condition.label_lower.empty() && !filter.label_contains().empty()) {
    return base::RefuseField("LABEL_INVISIBLE", "filter.label_contains",
                             "holds only characters that show nothing, by which no label can be "
                             "told from another");
  }
  RETURN_IF_ERROR(token::CheckOwner(filter.owner(), "filter.owner"));
  RETURN_IF_ERROR(token::CheckAnnotations(filter.annotations(), "filter.annotations"));
  ASSIGN_OR_RETURN(
      condition.unused_since,
      TimeOrDuration(filter.has_unused_since(), filter.unused_since(), "filter.unused_since",
                     filter.has_unused_for(), filter.unused_for(), "filter.unused_for", now, -1));
  ASSIGN_OR_RETURN(condition.expiring_before,
                   TimeOrDuration(filter.has_expiring_before(), filter.expiring_before(),
                                  "filter.expiring_before", filter.has_expiring_within(),
                                  filter.expiring_within(), "filter.expiring_within", now, +1));
  ASSIGN_OR_RETURN(
      condition.rotation_due_before,
      TimeOrDuration(filter.has_rotation_due_before(), filter.rotation_due_before(),
                     "filter.rotation_due_before", filter.has_rotation_due_within(),
                     filter.rotation_due_within(), "filter.rotation_due_within", now, +1));
  if (filter.has_tried_within()) {
    if (!filter.still_tried()) {
      return base::RefuseField("TRIED_WITHIN_ALONE", "filter.tried_within",
                               "narrows still_tried: set that, too");
    }
    ASSIGN_OR_RETURN(const absl::Duration within,
                     DurationFromField(filter.tried_within(), "filter.tried_within", kShortest,
                                       "TRIED_WITHIN_OUT_OF_BOUNDS"));
    condition.tried_since = now - within;
  }
  return condition;
}

// The conditions that the record alone decides.
bool RecordMatches(const Condition& condition, const TokenRecord& record) {
  const TokenFilter& filter = *condition.filter;
  if (!filter.owner().empty() && record.owner() != filter.owner()) return false;
  if (!condition.label_lower.empty() &&
      !absl::StrContains(absl::AsciiStrToLower(text::ComparedLabel(record.label())),
                         condition.label_lower)) {
    return false;
  }
  for (const auto& pair : filter.annotations()) {
    const auto it = record.annotations().find(pair.first);
    if (it == record.annotations().end() || it->second != pair.second) return false;
  }
  if (condition.expiring_before.has_value() &&
      (record.expire_time_us() == 0 ||
       FromRecordMicros(record.expire_time_us()) >= *condition.expiring_before)) {
    return false;
  }
  return true;
}

bool ResourceMatches(const Condition& condition, const Token& token) {
  if (!condition.states.empty() && condition.states.count(token.state()) == 0) return false;
  if (condition.states.empty() && condition.of_time() && token::IsFinal(token.state()))
    return false;
  // Asked before the reports are read: a token that is alive costs no look at them.
  if (condition.filter->still_tried() && !IsDead(token.state())) return false;
  if (condition.rotation_due_before.has_value()) {
    if (!token.has_rotation_due_time()) return false;
    const auto due = TimeFromField(token.rotation_due_time(), "");
    if (!due.ok() || *due >= *condition.rotation_due_before) return false;
  }
  return true;
}

bool ReportsMatch(const Condition& condition, const TokenRecord& record, const Token& token,
                  const std::vector<EdgeUseRow>& uses) {
  if (condition.filter->still_tried() && !token.has_last_tried_time()) return false;
  if (condition.tried_since.has_value() &&
      base::FromProto(token.last_tried_time()) < *condition.tried_since) {
    return false;
  }
  if (!condition.unused_since.has_value()) return true;
  if (record.workspace() == token::kOperatorWorkspace) return false;  // not known
  const absl::Time last =
      uses.empty() ? FromRecordMicros(record.create_time_us()) : uses.front().last_used;
  return last < *condition.unused_since;
}

}  // namespace

absl::StatusOr<Token> ReadToken(const storage::View& view,
                                const tollgate::v1::GetTokenRequest& request, absl::Time now) {
  ASSIGN_OR_RETURN(const token::TokenName name, token::ParseTokenName(request.name(), "name"));
  ASSIGN_OR_RETURN(const HeldToken held, LoadToken(view, name.workspace, name.token_id));
  Token token = ToResource(held, now);
  ASSIGN_OR_RETURN(const auto reports, ReadEdgeReports(view, name.workspace, name.token_id));
  AddUses(UsesIn(reports, now), /*by_edge=*/true, &token);
  AddLastTried(reports, held.record, &token);
  return token;
}

absl::StatusOr<tollgate::v1::ListTokenAttemptsResponse> ReadTokenAttempts(
    const storage::View& view, const tollgate::v1::ListTokenAttemptsRequest& request,
    absl::Time now) {
  ASSIGN_OR_RETURN(const token::TokenName name, token::ParseTokenName(request.name(), "name"));
  ASSIGN_OR_RETURN(const HeldToken held, LoadToken(view, name.workspace, name.token_id));
  ASSIGN_OR_RETURN(const auto reports, ReadEdgeReports(view, name.workspace, name.token_id));
  tollgate::v1::ListTokenAttemptsResponse response;
  Token* token = response.mutable_token();
  *token = ToResource(held, now);
  AddUses(UsesIn(reports, now), /*by_edge=*/false, token);
  AddLastTried(reports, held.record, token);
  for (const AttemptsRow& row : NameLatestAttempts(AttemptsIn(reports))) {
    tollgate::v1::EdgeAttempts* attempts = response.add_attempts();
    attempts->set_edge(row.edge);
    attempts->set_reason(row.reason);
    attempts->set_count(row.count);
    *attempts->mutable_first_time() = base::ToProto(row.first);
    *attempts->mutable_last_time() = base::ToProto(row.last);
    // What was kept before the policy changed is not shown any more.
    if (!held.policy.report_attempt_addresses()) continue;
    for (const tollgate::store::v1::AddressRecord& from : row.addresses) {
      tollgate::v1::AttemptAddress* address = attempts->add_addresses();
      address->set_address(from.address());
      address->set_count(from.count());
      *address->mutable_last_time() = base::ToProto(FromRecordMicros(from.last_us()));
    }
  }
  return response;
}

namespace {

// AIP-159: the tokens of all of them.
constexpr char kEveryWorkspace[] = "workspaces/-";

// A page under way: tokens of one workspace after the other go into it.
class TokenPage {
 public:
  TokenPage(const storage::View& view, const Condition& condition, tollgate::v1::TokenView how,
            absl::Time now, size_t page_size)
      : view_(view),
        condition_(condition),
        by_edge_(how == tollgate::v1::TOKEN_VIEW_FULL),
        now_(now),
        page_size_(page_size) {}

  // Adds the workspace's tokens behind that of id `after` ("": all), until the page is full.
  // Returns the id after which the next page begins; nullopt: all of the workspace have been looked
  // at.
  absl::StatusOr<absl::optional<std::string>> Add(const WorkspaceRecord& owning,
                                                  absl::string_view after) {
    ++scanned_;  // a workspace without tokens costs a look-up, too
    const auto add = [&](const storage::Entry& entry) -> absl::StatusOr<size_t> {
      ++scanned_;
      ASSIGN_OR_RETURN(const size_t size, AddOne(owning, entry));
      bytes_ += size;
      return size;
    };
    ASSIGN_OR_RETURN(
        const absl::optional<std::string> last,
        ScanPage(view_, storage::Table::kTokens, TokensAfter(owning.workspace(), after),
                 page_size_ - static_cast<size_t>(response.tokens_size()), add));
    if (!last.has_value()) return absl::optional<std::string>();
    ASSIGN_OR_RETURN(const storage::TokenKeyParts parts, storage::ParseTokenKey(*last));
    return absl::make_optional(parts.token_id);
  }

  bool full() const {
    return static_cast<size_t>(response.tokens_size()) >= page_size_ || bytes_ >= kMaxPageBytes ||
           scanned_ >= kMaxScannedPerPage;
  }

  tollgate::v1::ListTokensResponse response;

 private:
  absl::StatusOr<size_t> AddOne(const WorkspaceRecord& owning, const storage::Entry& entry) {
    HeldToken token;
    if (!token.record.ParseFromString(entry.value)) {
      return absl::DataLossError("a token's record cannot be parsed");
    }
    const TokenRecord& record = token.record;
    if (!RecordMatches(condition_, record)) return 0;
    token.policy = owning.policy();
    ASSIGN_OR_RETURN(token.cohorts, LoadCohorts(view_, owning.workspace(), record.owner()));
    Token resource = ToResource(token, now_);
    if (!ResourceMatches(condition_, resource)) {
      if (condition_.plain() && token::IsFinal(resource.state())) {
        response.set_ended_left_out_count(response.ended_left_out_count() + 1);
      }
      return 0;
    }
    ASSIGN_OR_RETURN(const auto reports,
                     ReadEdgeReports(view_, owning.workspace(), record.token_id()));
    const std::vector<EdgeUseRow> uses = UsesIn(reports, now_);
    AddLastTried(reports, record, &resource);
    if (!ReportsMatch(condition_, record, resource, uses)) return 0;
    AddUses(uses, by_edge_, &resource);
    *response.add_tokens() = std::move(resource);
    return response.tokens().rbegin()->ByteSizeLong();
  }

  const storage::View& view_;
  const Condition& condition_;
  const bool by_edge_;
  const absl::Time now_;
  const size_t page_size_;
  size_t scanned_ = 0;
  size_t bytes_ = 0;
};

// Adds the tokens of every workspace that may be read, behind the token with the key `after` ("":
// all of them). Returns the key after which the next page begins, which is that of a token of such
// a workspace: a page token gives no other away. nullopt: there is none.
absl::StatusOr<absl::optional<std::string>> AddEveryWorkspace(const storage::View& view,
                                                              const MayReadWorkspace& may_read,
                                                              absl::string_view after,
                                                              TokenPage* page) {
  constexpr size_t kAtATime = 250;
  storage::TokenKeyParts from;
  if (!after.empty()) {
    ASSIGN_OR_RETURN(from, storage::ParseTokenKey(after));
  }
  absl::optional<std::string> full_at;
  for (std::string begin = from.workspace;;) {
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                     view.Scan(storage::Table::kWorkspaces, begin, "", kAtATime));
    for (const storage::Entry& entry : entries) {
      WorkspaceRecord owning;
      if (!owning.ParseFromString(entry.value)) {
        return absl::DataLossError("a workspace's record cannot be parsed");
      }
      const std::string& workspace = owning.workspace();
      if (!may_read(token::WorkspaceName(workspace))) continue;
      if (full_at.has_value()) return full_at;  // and here is more
      ASSIGN_OR_RETURN(const absl::optional<std::string> last,
                       page->Add(owning, workspace == from.workspace ? from.token_id : ""));
      if (last.has_value()) return storage::TokenKey(workspace, *last);
      // The last id there is: no token of this workspace is behind it.
      if (page->full()) full_at = storage::TokenKey(workspace, std::string(16, 'z'));
    }
    if (entries.size() < kAtATime) return absl::optional<std::string>();
    begin = storage::KeyAfter(entries.back().key);
  }
}

}  // namespace

absl::StatusOr<tollgate::v1::ListTokensResponse> ReadTokenList(const storage::View& view,
                                                               const ListTokensRequest& request,
                                                               absl::Time now,
                                                               const MayReadWorkspace& may_read) {
  const bool everywhere = request.parent() == kEveryWorkspace;
  std::string workspace = "-";  // so is none called
  if (!everywhere) {
    ASSIGN_OR_RETURN(workspace, token::ParseWorkspaceName(request.parent(), "parent"));
  }
  ASSIGN_OR_RETURN(const size_t page_size, ReadPageSize(request.page_size(), kUsualPage));
  ASSIGN_OR_RETURN(const Condition condition, ReadFilter(request.filter(), now));
  if (condition.unused_since.has_value()) {
    RETURN_IF_ERROR(RefuseByUse(workspace, "a filter by use"));
  }
  const std::string binding =
      absl::StrCat("tokens\n", workspace, "\n", storage::SerializeRecord(request.filter()));
  ASSIGN_OR_RETURN(const std::string after, ReadPageToken(binding, request.page_token()));
  TokenPage page(view, condition, request.view(), now, page_size);
  absl::optional<std::string> next;
  if (everywhere) {
    ASSIGN_OR_RETURN(next, AddEveryWorkspace(view, may_read, after, &page));
  } else {
    ASSIGN_OR_RETURN(const WorkspaceRecord owning, LoadWorkspace(view, workspace));
    ASSIGN_OR_RETURN(next, page.Add(owning, after));
  }
  if (next.has_value()) page.response.set_next_page_token(MakePageToken(binding, *next));
  return std::move(page.response);
}

absl::StatusOr<tollgate::v1::Workspace> ReadWorkspace(
    const storage::View& view, const tollgate::v1::GetWorkspaceRequest& request) {
  ASSIGN_OR_RETURN(const std::string workspace, token::ParseWorkspaceName(request.name(), "name"));
  ASSIGN_OR_RETURN(const WorkspaceRecord record, LoadWorkspace(view, workspace));
  return ToCountedWorkspace(view, record);
}

absl::StatusOr<tollgate::v1::ListWorkspacesResponse> ReadWorkspaceList(
    const storage::View& view, const tollgate::v1::ListWorkspacesRequest& request,
    const MayReadWorkspace& may_read) {
  ASSIGN_OR_RETURN(const size_t page_size, ReadPageSize(request.page_size(), kUsualPage));
  const absl::string_view binding = "workspaces";
  ASSIGN_OR_RETURN(const std::string after, ReadPageToken(binding, request.page_token()));
  tollgate::v1::ListWorkspacesResponse response;
  std::string from = after.empty() ? after : storage::KeyAfter(after);
  std::string last;
  size_t shown = 0;
  size_t bytes = 0;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                     view.Scan(storage::Table::kWorkspaces, from, "", kUsualPage));
    for (const storage::Entry& entry : entries) {
      if (!may_read(token::WorkspaceName(entry.key))) continue;
      if (shown >= page_size || bytes >= kMaxPageBytes) {
        // Behind the last that is shown, and only where another follows: nothing tells of those
        // that may not be seen.
        response.set_next_page_token(MakePageToken(binding, last));
        return response;
      }
      WorkspaceRecord record;
      if (!record.ParseFromString(entry.value)) {
        return absl::DataLossError("a workspace's record cannot be parsed");
      }
      ASSIGN_OR_RETURN(tollgate::v1::Workspace workspace, ToCountedWorkspace(view, record));
      bytes += workspace.ByteSizeLong();
      *response.add_workspaces() = std::move(workspace);
      ++shown;
      last = entry.key;
    }
    if (entries.size() < kUsualPage) return response;
    from = storage::KeyAfter(entries.back().key);
  }
}

}  // namespace tollgate::service
