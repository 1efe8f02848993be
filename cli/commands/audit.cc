// Audit: past changes, and proof that no entry was removed.
#include <algorithm>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands/audit_text.h"
#include "cli/commands/events.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "token/audit_hash.h"
#include "tollgate/v1/operations_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::AuditEntry;
using tollgate::v1::OperationsService;

using tollgate::v1::ListAuditEntriesRequest;

constexpr int kMostInPage = 1000;

struct ListOptions {
  std::string workspace, token, actor, since, until;
  std::vector<std::string> actions;
  int64_t from = 0;
  int limit = 0;
  bool oldest_first = false;
};

// Calls `each` with the entries that are asked for, page by page: at most `limit` of them, 0: all.
// True: there are more.
absl::StatusOr<bool> ForEachEntry(Context& context, ListAuditEntriesRequest request, int limit,
                                  const std::function<absl::Status(const AuditEntry&)>& each) {
  int told = 0;
  do {
    request.set_page_size(limit == 0 ? kMostInPage : std::min(limit - told, kMostInPage));
    tollgate::v1::ListAuditEntriesResponse page;
    RETURN_IF_ERROR(context.Ask(&OperationsService::Stub::ListAuditEntries, request, &page));
    for (const AuditEntry& entry : page.entries()) RETURN_IF_ERROR(each(entry));
    told += page.entries_size();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && (limit == 0 || told < limit));
  return !request.page_token().empty();
}

// Fills a condition of time, given as a time or as how long ago it was ("2026-11-24", "36h"): then
// the service's clock says when that was.
absl::Status FillTime(const std::string& text, absl::string_view flag, OfDay of_day,
                      absl::FunctionRef<google::protobuf::Timestamp*()> time,
                      absl::FunctionRef<google::protobuf::Duration*()> ago) {
  if (text.empty()) return absl::OkStatus();
  if (const absl::StatusOr<absl::Duration> length = ParseHumanDuration(text); length.ok()) {
    *ago() = base::ToProto(*length);
    return absl::OkStatus();
  }
  const absl::StatusOr<absl::Time> at = ParseHumanTime(text, of_day);
  if (!at.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": '", text.substr(0, 40),
                     "' is no time; write 2026-11-24 or 2026-11-24T09:30:00Z, or how long ago, as "
                     "in 36h or 7d"));
  }
  *time() = base::ToProto(*at);
  return absl::OkStatus();
}

absl::StatusOr<ListAuditEntriesRequest> RequestFrom(const ListOptions& options, bool typed) {
  ListAuditEntriesRequest request;
  // The usual workspace is no filter: the log is that of all, unless a word names one.
  if (typed) {
    ASSIGN_OR_RETURN(*request.mutable_parent(), ParentFrom(options.workspace));
  }
  tollgate::v1::AuditFilter& filter = *request.mutable_filter();
  if (!options.token.empty()) {
    ASSIGN_OR_RETURN(*filter.mutable_token(),
                     TokenNameFrom(options.token, options.workspace, typed));
  }
  filter.set_actor(options.actor);
  for (const std::string& action : options.actions) filter.add_actions(action);
  RETURN_IF_ERROR(FillTime(
      options.since, "--since", OfDay::kBegin, [&] { return filter.mutable_since(); },
      [&] { return filter.mutable_since_ago(); }));
  RETURN_IF_ERROR(FillTime(
      options.until, "--until", OfDay::kEnd, [&] { return filter.mutable_until(); },
      [&] { return filter.mutable_until_ago(); }));
  request.set_from_revision(options.from);
  request.set_newest_first(!options.oldest_first);
  return request;
}

// By name; for a cohort also whose tokens it covered.
std::string ResourceText(const AuditEntry& entry) {
  const auto owner = entry.details().find("owner");
  if (entry.action() != "cohort.revoke" || owner == entry.details().end()) return entry.resource();
  return absl::StrCat(entry.resource(), " owner ", owner->second);
}

absl::Status List(Context& context, const ListOptions& options) {
  ASSIGN_OR_RETURN(const ListAuditEntriesRequest request,
                   RequestFrom(options, context.settings().workspace_typed));
  Table table({{"REVISION"},
               {"TIME (UTC)"},
               {"ACTOR", 10},
               {"ACTION"},
               Column::Below("RESOURCE"),
               Column::Below("REASON"),
               Column::Below("CHANGES")});
  const auto show = [&](const AuditEntry& entry) {
    if (context.settings().json()) return context.ShowJsonLine(entry);
    if (context.settings().quiet) {
      context.out() << entry.revision() << '\n';
      return absl::OkStatus();
    }
    table.AddRow(
        {absl::StrCat(entry.revision()),
         absl::FormatTime("%Y-%m-%d %H:%M:%S", base::FromProto(entry.time()), absl::UTCTimeZone()),
         WhoText(entry), entry.action(), ResourceText(entry), entry.reason(), ChangesText(entry)});
    return absl::OkStatus();
  };
  ASSIGN_OR_RETURN(const bool more, ForEachEntry(context, request, options.limit, show));
  const bool tabular = !context.settings().json() && !context.settings().quiet;
  if (tabular) {
    if (table.empty()) context.out() << "No audit entries.\n";
    context.ShowTable(table);
    if (more) context.err() << "There are more: raise --limit, or leave it out to see all.\n";
  }
  return absl::OkStatus();
}

absl::Status Verify(Context& context) {
  token::AuditChain chain;
  int64_t count = 0;
  int64_t last = 0;
  const absl::Status read =
      ForEachEntry(context, ListAuditEntriesRequest(), /*limit=*/0,
                   [&](const AuditEntry& entry) -> absl::Status {
                     if (!chain.Follows(entry.hashed_content(), entry.hash())) {
                       return absl::FailedPreconditionError(absl::StrCat(
                           "the audit log is not what was written: entry ", entry.revision(), ".",
                           entry.index(), " (", entry.action(), " ", entry.resource(),
                           ") does not follow from the one before it. "
                           "It, or an entry before it, was altered or removed"));
                     }
                     last = entry.revision();
                     ++count;
                     return absl::OkStatus();
                   })
          .status();
  RETURN_IF_ERROR(read);
  if (context.settings().json()) {
    context.out() << "{\"verified\": true, \"entries\": " << count << ", \"revision\": " << last
                  << ", \"hash\": \"" << absl::BytesToHexString(chain.last_hash()) << "\"}\n";
  } else if (!context.settings().quiet) {
    context.out() << "verified     " << count << " entries, to revision " << last
                  << "\nlast hash    " << absl::BytesToHexString(chain.last_hash()) << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddAuditCommands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("audit", "Who did what, and proof that the log is whole");
  noun->require_subcommand(1);
  auto options = std::make_shared<ListOptions>();
  CLI::App* list = noun->add_subcommand("list", "The audit log, newest first");
  list->add_option("-w,--workspace", options->workspace,
                   "Only this workspace's; with --token the one that the token is of")
      ->envname("TOLLGATE_WORKSPACE");
  list->add_option("--token", options->token,
                   "Only what is about this token, by its id or full name");
  list->add_option("--actor", options->actor, "Only what this caller did, as ACTOR has it");
  list->add_option("--action", options->actions,
                   "Only this action, as in token.revoke, or token.* for all; repeatable");
  list->add_option(
      "--since", options->since,
      "From then on: 2026-11-24 (its beginning), RFC 3339, or how long ago, as in 36h");
  list->add_option("--until", options->until,
                   "Only from before then: 2026-11-24 (its end), RFC 3339, or how long ago");
  list->add_option("--from", options->from, "From this revision on")->check(CLI::NonNegativeNumber);
  list->add_flag("--oldest-first", options->oldest_first, "As it happened");
  list->add_option("--limit", options->limit, "At most so many; 0: all")
      ->check(CLI::Range(0, 1000000));
  list->callback([&context, options] { context.Fail(List(context, *options)); });
  noun->add_subcommand("verify", "Recompute the hash chain from the first entry to the last")
      ->callback([&context] { context.Fail(Verify(context)); });
}

}  // namespace tollgate::cli
