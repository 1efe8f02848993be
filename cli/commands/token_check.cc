// Check: asks a validator what it would tell a service, or a URL behind a proxy what it would tell
// a client.
#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/proto_time.h"
#include "base/secret.h"
#include "base/status.h"
#include "cli/commands/token.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "net/url_head.h"
#include "nlohmann/json.hpp"
#include "token/pasted_text.h"
#include "token/resource_name.h"
#include "token/scope.h"
#include "token/scope_expression.h"
#include "token/token_string.h"
#include "tollgate/v1/validation_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::Identity;
using tollgate::v1::ValidateResponse;
using tollgate::v1::ValidationService;

struct CheckOptions {
  std::vector<std::string> scopes, all_scopes;
  std::string scope_expression;
  std::string audience;
  std::string workspace;
  int repeat = 1;
  std::string url;
  std::string ca;
};

// What a client sees of an edge behind a proxy.
struct SeenAtUrl {
  int status = 0;
  std::string challenge;  // WWW-Authenticate
  std::string decision;
  std::string expires;
  std::string retry_after;
  std::string paste_fault;  // of what was presented; empty: none

  bool admitted() const { return status >= 200 && status < 400; }
  bool refused() const { return status == 401 || status == 403; }
  bool unavailable() const { return status == 503; }
  // For scripts. Any other status may be the edge's (no route, a request that it cannot read) or
  // the service's behind it, and does not say whose it is.
  absl::string_view verdict() const {
    return admitted() ? "admit" : refused() ? "deny" : unavailable() ? "unavailable" : "unclear";
  }
  absl::string_view words() const {
    return admitted()      ? "admitted"
           : refused()     ? "refused"
           : unavailable() ? "unavailable"
                           : "unclear";
  }
};

// The value of `name="value"` in a challenge (RFC 9110, 11.6.1); empty where there is none.
std::string ParameterOf(absl::string_view challenge, absl::string_view name) {
  const std::string begin = absl::StrCat(name, "=\"");
  size_t at = challenge.find(begin);
  // `error` is the end of no other name, and `realm` is a text that may hold anything.
  while (at != absl::string_view::npos && at > 0 && challenge[at - 1] != ' ' &&
         challenge[at - 1] != ',') {
    at = challenge.find(begin, at + 1);
  }
  std::string value;
  if (at == absl::string_view::npos) return value;
  for (size_t i = at + begin.size(); i < challenge.size() && challenge[i] != '"'; ++i) {
    if (challenge[i] == '\\' && i + 1 < challenge.size()) ++i;
    value.push_back(challenge[i]);
  }
  return value;
}

absl::StatusOr<SeenAtUrl> LookAtUrl(Context& context, const CheckOptions& options) {
  net::UrlQuestion question;
  question.url = options.url;
  question.ca = options.ca;
  question.allow_plaintext = context.settings().allow_plaintext;
  question.bearer = context.ReadSecret();
  if (question.bearer.empty())
    return absl::InvalidArgumentError("no token string on standard input");
  SeenAtUrl seen;
  seen.paste_fault = token::FaultOfPastedText(question.bearer.RevealSecret());
  ASSIGN_OR_RETURN(const net::UrlHead head, net::AskUrl(question));
  seen.status = head.status;
  for (const auto& [name, value] : head.headers) {
    if (name == "www-authenticate") seen.challenge = value;
    if (name == "tollgate-decision") seen.decision = value;
    if (name == "tollgate-token-expires") seen.expires = value;
    if (name == "retry-after") seen.retry_after = value;
  }
  if (!seen.decision.empty()) return seen;
  return base::Refuse(
      absl::StatusCode::kNotFound, "NO_DECISION_SEEN",
      absl::StrCat("the answer, ", seen.status,
                   ", has no header Tollgate-Decision: this path is not behind Tollgate, or the "
                   "proxy does not pass the header on, as the recipes do"));
}

// As wide as the first word of what other commands say: what follows stands in one column.
std::string InColumn(absl::string_view word) { return absl::StrFormat("%-13s", word); }

absl::Status CheckUrl(Context& context, const CheckOptions& options) {
  const base::BootTime begun = context.terminal().clock->Now();
  ASSIGN_OR_RETURN(const SeenAtUrl seen, LookAtUrl(context, options));
  const absl::Duration took = context.terminal().clock->Now() - begun;
  context.exit_code = seen.admitted() ? kDone : seen.refused() ? kDenied : kNoAnswer;
  const std::string error = ParameterOf(seen.challenge, "error");
  const std::string description = ParameterOf(seen.challenge, "error_description");
  if (context.settings().json()) {
    const nlohmann::json answer = {
        {"verdict", std::string(seen.verdict())},
        {"status", seen.status},
        {"error", error},
        {"description", description},
        {"decision", seen.decision},
        {"token_expires", seen.expires},
        {"paste_fault", seen.paste_fault},
        {"elapsed_ms", absl::ToDoubleMilliseconds(took)},
    };
    context.out() << answer.dump(2, ' ', true, nlohmann::json::error_handler_t::replace) << '\n';
    return absl::OkStatus();
  }
  if (context.settings().quiet) return absl::OkStatus();
  context.out() << InColumn(seen.words()) << seen.status;
  for (const std::string& words : {error, description}) {
    if (!words.empty()) context.out() << "   " << SafeForTerminal(words);
  }
  context.out() << "   " << HumanElapsed(took) << "   decision " << SafeForTerminal(seen.decision)
                << '\n';
  if (!seen.expires.empty()) {
    context.out() << "  The token's end is near: " << SafeForTerminal(seen.expires) << ".\n";
  }
  if (seen.refused() && !seen.paste_fault.empty()) {
    context.out() << "  What was pasted " << seen.paste_fault << ".\n";
  }
  if (seen.verdict() == "unclear") {
    context.out() << "  The edge's, or the service's behind it: this status does not say.\n";
  }
  if (seen.unavailable() && !seen.retry_after.empty()) {
    context.out() << "  Try again in " << SafeForTerminal(seen.retry_after) << " s.\n";
  }
  return absl::OkStatus();
}

// What is known of a presented string without a secret: its public id; or why it is none.
struct Pasted {
  std::string token_id;
  std::string fault;
};

Pasted LookAtPasted(absl::string_view text) {
  Pasted pasted;
  pasted.fault = token::FaultOfPastedText(text);
  if (pasted.fault.empty()) {
    pasted.token_id = std::string(text.substr(text.find('_') + 1, token::kPublicIdLength));
  }
  return pasted;
}

// The scopes that are needed and that these do not meet: of alternatives all, where none is met.
std::vector<std::string> Missing(const tollgate::v1::Requirement& needs,
                                 const tollgate::v1::Identity& has) {
  const auto met = [&has](absl::string_view needed) {
    return std::any_of(
        has.scopes().begin(), has.scopes().end(),
        [needed](const std::string& scope) { return token::ScopeGrants(scope, needed); });
  };
  std::vector<std::string> missing;
  for (const std::string& scope : needs.all_scopes()) {
    if (!met(scope)) missing.push_back(scope);
  }
  if (std::none_of(needs.any_scopes().begin(), needs.any_scopes().end(), met) &&
      !needs.any_scopes().empty()) {
    missing.push_back(absl::StrJoin(needs.any_scopes(), " or "));
  }
  const auto expression = token::ScopeExpression::Parse(needs.scope_expression());
  if (expression.ok() && !expression->HoldsFor(met)) missing.push_back(needs.scope_expression());
  return missing;
}

// What one may do about an answer that is no admission, a line each.
std::string Causes(const tollgate::v1::Requirement& needs, const ValidateResponse& response,
                   const Pasted& pasted) {
  const Identity& has = response.identity();
  std::string text;
  if (response.http_status() > 0) {
    absl::StrAppend(&text, "  HTTP    ", response.http_status(),
                    response.error().empty() ? "" : " ", response.error(), "\n");
  }
  if (!has.token().empty()) {
    absl::StrAppend(&text, "  token   ", has.token(), "\n");
  } else if (!pasted.token_id.empty()) {
    absl::StrAppend(&text, "  token   ", pasted.token_id, "\n");
  }
  switch (response.reason()) {
    case tollgate::v1::VERDICT_REASON_INSUFFICIENT_SCOPE:
      absl::StrAppend(&text, "  missing ", absl::StrJoin(Missing(needs, has), ", and "),
                      "; the token has ",
                      has.scopes().empty() ? "no scope" : absl::StrJoin(has.scopes(), ", "), "\n");
      break;
    case tollgate::v1::VERDICT_REASON_WRONG_AUDIENCE:
      absl::StrAppend(
          &text, "  asked for ",
          needs.audience().empty() ? "no audience, and the token is for some" : needs.audience(),
          ": tollgate token get tells the token's audiences\n");
      break;
    case tollgate::v1::VERDICT_REASON_WRONG_WORKSPACE:
      absl::StrAppend(&text, "  asked for ", needs.workspace(), ", and it is of ", has.workspace(),
                      "\n");
      break;
    case tollgate::v1::VERDICT_REASON_NO_LEASE:
      absl::StrAppend(
          &text, "  lease   ",
          response.has_last_lease_age()
              ? absl::StrCat("none; the last one was asked for ",
                             HumanDuration(base::FromProto(response.last_lease_age())), " ago")
              : "none, and none since the validator's start",
          ": does it reach the service?  tollgate validators list --problems\n");
      break;
    case tollgate::v1::VERDICT_REASON_REVOKED:
    case tollgate::v1::VERDICT_REASON_EXPIRED:
    case tollgate::v1::VERDICT_REASON_SUSPENDED:
      absl::StrAppend(&text, "  why     tollgate token history ", pasted.token_id,
                      needs.workspace().empty() ? "" : " -w ", needs.workspace(), "\n");
      break;
    case tollgate::v1::VERDICT_REASON_UNKNOWN:
      absl::StrAppend(&text,
                      "  The service has never issued it. Is the edge of another installation?\n");
      break;
    default:
      break;
  }
  if (!pasted.fault.empty()) {
    absl::StrAppend(&text, "  What was pasted ", pasted.fault, ".\n");
  }
  return text;
}

absl::Status Check(Context& context, const CheckOptions& options) {
  tollgate::v1::ValidateRequest request;
  tollgate::v1::Requirement& requirement = *request.mutable_requirement();
  for (const std::string& scope : options.scopes) requirement.add_any_scopes(scope);
  for (const std::string& scope : options.all_scopes) requirement.add_all_scopes(scope);
  requirement.set_scope_expression(options.scope_expression);
  requirement.set_audience(options.audience);
  if (!options.workspace.empty()) {
    ASSIGN_OR_RETURN(const std::string name, ParentFrom(options.workspace));
    ASSIGN_OR_RETURN(*requirement.mutable_workspace(),
                     token::ParseWorkspaceName(name, "--workspace"));
  }
  const absl::Cleanup wipe = [&request] { base::WipeString(request.mutable_token_string()); };
  {
    const base::SecretBytes secret = context.ReadSecret();
    request.set_token_string(secret.RevealSecret().data(), secret.size());
  }
  if (request.token_string().empty())
    return absl::InvalidArgumentError("no token string on standard input");
  const Pasted pasted = LookAtPasted(request.token_string());

  ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> channel, context.EdgeChannel());
  std::unique_ptr<ValidationService::Stub> stub = ValidationService::NewStub(channel);
  // Connected first, so that the time shown is that of the question alone. A validator that is not
  // there is not waited for.
  const auto patience = std::chrono::system_clock::now() + std::chrono::seconds(2);
  grpc_connectivity_state state = channel->GetState(true);
  while (state != GRPC_CHANNEL_READY && state != GRPC_CHANNEL_TRANSIENT_FAILURE &&
         channel->WaitForStateChange(state, patience)) {
    state = channel->GetState(true);
  }
  tollgate::v1::ValidateResponse response;
  nlohmann::json times = nlohmann::json::array();
  absl::Status status;
  absl::Duration took;
  for (int i = 0; i < options.repeat && status.ok(); ++i) {
    response.Clear();
    const base::BootTime begun = context.terminal().clock->Now();
    status = context.Call(
        [&](grpc::ClientContext* call) { return stub->Validate(call, request, &response); });
    took = context.terminal().clock->Now() - begun;
    times.push_back(absl::ToDoubleMilliseconds(took));
  }
  if (!status.ok()) {
    context.Fail(status);
    // A script sees the same, whether the validator has no answer or there is no validator.
    if (context.exit_code == kUnavailable) context.exit_code = kNoAnswer;
    return absl::OkStatus();
  }

  const bool admitted = response.verdict() == tollgate::v1::VERDICT_ADMIT;
  const bool denied = response.verdict() == tollgate::v1::VERDICT_DENY;
  context.exit_code = admitted ? kDone : denied ? kDenied : kNoAnswer;
  if (context.settings().json()) {
    const bool lacks_scope = response.reason() == tollgate::v1::VERDICT_REASON_INSUFFICIENT_SCOPE;
    const nlohmann::json answer = {
        {"verdict", admitted ? "admit"
                    : denied ? "deny"
                             : "unavailable"},
        {"reason", EnumWord(*tollgate::v1::VerdictReason_descriptor(), response.reason())},
        {"description", response.description()},
        {"http_status", admitted ? 200 : response.http_status()},
        {"error", response.error()},
        {"token", response.identity().token()},
        {"token_id", pasted.token_id},
        {"missing_scopes",
         lacks_scope ? Missing(requirement, response.identity()) : std::vector<std::string>()},
        {"paste_fault", pasted.fault},
        {"owner", response.identity().owner()},
        {"elapsed_ms", times},
    };
    context.out() << answer.dump(2, ' ', true, nlohmann::json::error_handler_t::replace) << '\n';
    return absl::OkStatus();
  }
  if (context.settings().quiet) return absl::OkStatus();
  context.out() << InColumn(admitted ? "admitted"
                            : denied ? "refused"
                                     : "unavailable")
                << SafeForTerminal(response.description())
                << (admitted && !response.description().empty() ? "   " : "")
                << SafeForTerminal(admitted ? response.identity().token() : "");
  context.out() << "   " << HumanElapsed(took) << '\n';
  if (!admitted) context.out() << Causes(requirement, response, pasted);
  if (response.has_retry_after()) {
    context.out() << "  Try again in " << HumanElapsed(base::FromProto(response.retry_after()))
                  << ".\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddTokenCheckCommand(CLI::App& token, Context& context) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* verb = token.add_subcommand(
      "check",
      "Ask a validator (--edge), or a URL behind one (--url), about a token string, read from "
      "standard input");
  verb->add_option("--scope", options->scopes,
                   "Any of these is needed (a token's deploy:* meets deploy:write); repeatable");
  verb->add_option("--all-scopes", options->all_scopes, "All of these are needed; repeatable");
  verb->add_option("--scope-expression", options->scope_expression,
                   "This is needed, as in 'items:read AND (items:write OR admin)'");
  verb->add_option("--audience", options->audience, "The service that is asked for");
  verb->add_option("-w,--workspace", options->workspace, "The token must be of this workspace");
  verb->add_option("--repeat", options->repeat, "Ask so often; the last answer counts")
      ->check(CLI::Range(1, 1000000));
  CLI::Option* const url =
      verb->add_option("--url", options->url,
                       "GET this with the token, as a client does, and tell what the edge behind "
                       "it said; the edge's policy says what is needed");
  for (const char* other :
       {"--scope", "--all-scopes", "--scope-expression", "--workspace", "--audience", "--repeat"}) {
    url->excludes(verb->get_option(other));
  }
  verb->add_option("--ca-file", options->ca, "With --url: who signs the server's certificate, PEM")
      ->needs(url);
  verb->callback([&context, options] {
    context.Fail(options->url.empty() ? Check(context, *options) : CheckUrl(context, *options));
  });
}

}  // namespace tollgate::cli
