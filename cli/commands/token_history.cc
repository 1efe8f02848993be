// What happened to a token: its entries of the audit log, oldest first.
#include <algorithm>
#include <memory>
#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands/audit_text.h"
#include "cli/commands/token.h"
#include "cli/commands/token_text.h"
#include "tollgate/v1/operations_service.grpc.pb.h"
#include "tollgate/v1/token_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::AuditEntry;
using tollgate::v1::OperationsService;
using tollgate::v1::TokenService;

constexpr int kMostInPage = 1000;

struct HistoryOptions {
  std::string token, workspace;
  int limit = 0;
};

// "CI deploy key", revoked 3 h ago, by local
std::string WhatItIs(const tollgate::v1::Token& token, absl::Time now) {
  const std::string since = SinceText(token, now);
  return absl::StrCat("\"", token.label(), "\", ", StateText(token.state()),
                      since.empty() ? "" : " ", since);
}

// The newest entries, at most `limit` of them (0: all), oldest first. Its next_page_token is set
// where there are more.
absl::Status ReadHistory(Context& context, const std::string& name, int limit,
                         tollgate::v1::ListAuditEntriesResponse* history) {
  tollgate::v1::ListAuditEntriesRequest request;
  request.mutable_filter()->set_token(name);
  request.set_newest_first(true);
  do {
    const int left = limit == 0 ? kMostInPage : limit - history->entries_size();
    request.set_page_size(std::min(left, kMostInPage));
    tollgate::v1::ListAuditEntriesResponse page;
    RETURN_IF_ERROR(context.Ask(&OperationsService::Stub::ListAuditEntries, request, &page));
    for (AuditEntry& entry : *page.mutable_entries()) {
      *history->add_entries() = std::move(entry);
    }
    history->set_next_page_token(page.next_page_token());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && (limit == 0 || history->entries_size() < limit));
  std::reverse(history->mutable_entries()->begin(), history->mutable_entries()->end());
  return absl::OkStatus();
}

absl::Status History(Context& context, const HistoryOptions& options) {
  ASSIGN_OR_RETURN(const std::string name, TokenNameFrom(options.token, options.workspace,
                                                         context.settings().workspace_typed));
  tollgate::v1::ListAuditEntriesResponse history;
  RETURN_IF_ERROR(ReadHistory(context, name, options.limit, &history));
  if (context.settings().json()) return context.ShowJson(history);
  if (context.settings().quiet) {
    for (const AuditEntry& entry : history.entries()) context.out() << entry.revision() << '\n';
    return absl::OkStatus();
  }
  // One that is no more has a history all the same.
  tollgate::v1::GetTokenRequest request;
  request.set_name(name);
  tollgate::v1::Token token;
  const absl::Status found = context.Ask(&TokenService::Stub::GetToken, request, &token);
  if (!found.ok() && !absl::IsNotFound(found)) return found;
  const absl::Time now = context.now();
  context.out() << SafeForTerminal(found.ok() ? WhatItIs(token, now) : found.message()) << "\n\n";
  Table table({{"WHEN"}, {"WHO", 10}, Column::Below("WHAT")});
  for (const AuditEntry& entry : history.entries()) {
    table.AddRow(
        {WhenText(base::FromProto(entry.time()), now), WhoText(entry), WhatText(entry, name)});
  }
  context.ShowTable(table);
  if (!history.next_page_token().empty()) {
    context.err() << "There is more from before that: leave --limit out to see all.\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddTokenHistoryCommand(CLI::App& token, Context& context) {
  auto options = std::make_shared<HistoryOptions>();
  CLI::App* verb = token.add_subcommand(
      "history", "Show what happened to a token: when, who, from where, what, oldest first");
  verb->add_option("token", options->token, "The token's id, or its full name")->required();
  AddWorkspaceOption(*verb, &options->workspace);
  verb->add_option("--limit", options->limit, "The newest so many; 0: all")
      ->check(CLI::Range(0, 1000000));
  verb->callback([&context, options] { context.Fail(History(context, *options)); });
}

}  // namespace tollgate::cli
