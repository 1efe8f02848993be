// Who still tries a token: the attempts that edges have refused.
#include <memory>
#include <ostream>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands/token.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "tollgate/v1/token_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::TokenService;

struct AttemptsOptions {
  std::string token, workspace;
};

// "CI deploy key", revoked 3 h ago
std::string WhatItIs(const tollgate::v1::Token& token, absl::Time now) {
  std::string text = absl::StrCat("\"", token.label(), "\", ", StateText(token.state()));
  if (token.state() == tollgate::v1::TOKEN_STATE_REVOKED && token.has_revoke_time()) {
    absl::StrAppend(&text, " ", HumanTime(base::FromProto(token.revoke_time()), now));
  } else if (token.state() == tollgate::v1::TOKEN_STATE_EXPIRED && token.has_expire_time()) {
    absl::StrAppend(&text, " ", HumanTime(base::FromProto(token.expire_time()), now));
  }
  return text;
}

absl::Status Attempts(Context& context, const AttemptsOptions& options) {
  tollgate::v1::ListTokenAttemptsRequest request;
  ASSIGN_OR_RETURN(*request.mutable_name(), TokenNameFrom(options.token, options.workspace,
                                                          context.settings().workspace_typed));
  tollgate::v1::ListTokenAttemptsResponse response;
  RETURN_IF_ERROR(context.Ask(&TokenService::Stub::ListTokenAttempts, request, &response));
  if (context.settings().json()) return context.ShowJson(response);
  if (context.settings().quiet) {
    std::set<std::string> told;
    for (const tollgate::v1::EdgeAttempts& row : response.attempts()) {
      if (told.insert(row.edge()).second) context.out() << SafeForTerminal(row.edge()) << '\n';
    }
    return absl::OkStatus();
  }
  const absl::Time now = context.now();
  const std::string what = SafeForTerminal(WhatItIs(response.token(), now));
  if (response.attempts_size() == 0) {
    context.out() << "No edge has reported a refused attempt on " << what << ".\n";
    return absl::OkStatus();
  }
  context.out() << what << "\n\n";
  Table table({{"EDGE", 24}, {"REFUSED AS", 12}, {"TIMES"}, {"FIRST", 0, 1}, {"LAST"}});
  for (const tollgate::v1::EdgeAttempts& row : response.attempts()) {
    table.AddRow({row.edge(), RefusalText(row.reason()), absl::StrCat(row.count()),
                  HumanTime(base::FromProto(row.first_time()), now),
                  HumanTime(base::FromProto(row.last_time()), now)});
    for (const tollgate::v1::AttemptAddress& from : row.addresses()) {
      table.AddRow({absl::StrCat("  from ", from.address()), "", absl::StrCat(from.count()), "",
                    HumanTime(base::FromProto(from.last_time()), now)});
    }
  }
  context.ShowTable(table);
  return absl::OkStatus();
}

}  // namespace

void AddTokenAttemptsCommand(CLI::App& token, Context& context) {
  auto options = std::make_shared<AttemptsOptions>();
  CLI::App* verb =
      token.add_subcommand("attempts", "Show who still tries a token: what edges refused, and why");
  verb->add_option("token", options->token, "The token's id, or its full name")->required();
  AddWorkspaceOption(*verb, &options->workspace);
  context.AlsoPrints(verb, {"wide"});
  verb->callback([&context, options] { context.Fail(Attempts(context, *options)); });
}

}  // namespace tollgate::cli
