// Update, retire, suspend, resume: changes of one token.
#include <algorithm>
#include <memory>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands/token.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "tollgate/v1/operations_service.grpc.pb.h"
#include "tollgate/v1/token_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::OperationsService;
using tollgate::v1::TokenService;

struct ChangeOptions {
  std::string token, workspace, reason, quiet_period, request_id;
  WaitOptions wait;
  bool force = false;
  // update
  std::string label, owner, expires_in, expires_at;
  std::vector<std::string> scopes, audiences, annotations, add_scopes, remove_scopes;
  bool no_scopes = false, no_audiences = false, no_annotations = false, no_owner = false,
       no_expiry = false;
};

CLI::App* AddVerb(CLI::App& token, const char* name, const char* what, ChangeOptions* options) {
  CLI::App* verb = token.add_subcommand(name, what);
  verb->add_option("token", options->token, "The token's id, or its full name")->required();
  AddWorkspaceOption(*verb, &options->workspace);
  verb->add_option("--request-id", options->request_id, "Makes a retry safe");
  return verb;
}

// Fills wait_enforced; returns it, or zero.
template <typename Request>
absl::StatusOr<absl::Duration> FillWait(const WaitOptions& wait, Request* request) {
  ASSIGN_OR_RETURN(const absl::Duration duration, wait.Parse());
  if (duration > absl::ZeroDuration()) *request->mutable_wait_enforced() = base::ToProto(duration);
  return duration;
}

// Waits for the holds that the receipt's revision put in doubt, for what is left of `wait`, and
// puts the newer receipt in its place. The change is made: an error is reported, and is none of it.
void WaitForHolds(Context& context, const tollgate::v1::Token& token, absl::Duration wait,
                  tollgate::v1::Receipt* receipt) {
  const absl::Duration left = wait - base::FromProto(receipt->elapsed());
  if (left <= absl::ZeroDuration()) return;
  tollgate::v1::WaitEnforcedRequest request;
  request.set_revision(receipt->revision());
  request.set_epoch(receipt->epoch());
  request.set_token(token.name());
  request.set_holds(true);
  *request.mutable_timeout() = base::ToProto(left);
  tollgate::v1::Receipt newest;
  const absl::Status asked =
      context.Ask(&OperationsService::Stub::WaitEnforced, request, &newest, left);
  if (!asked.ok()) {
    context.Say(WithAdvice(
        asked, absl::StrCat("It is done, and enforced. Ask for what is open still: tollgate events "
                            "wait --holds ",
                            receipt->revision(), " --epoch ", SafeForTerminal(receipt->epoch()))));
    return;
  }
  *receipt = std::move(newest);
}

// `word`: what was done. `unchanged`: the lines where there was nothing to do. `wait`: how long was
// waited for enforcement; zero: not at all.
template <typename Response>
absl::Status PrintChanged(Context& context, Response* answered, absl::string_view word,
                          const std::string& unchanged, const WaitOptions& options,
                          absl::Duration wait) {
  const Response& response = *answered;
  absl::Duration enforced_after;
  if constexpr (requires { response.receipt(); }) {
    enforced_after = base::FromProto(response.receipt().elapsed());
    if (wait > absl::ZeroDuration() && options.holds &&
        response.receipt().state() == tollgate::v1::ENFORCEMENT_STATE_ENFORCED &&
        response.receipt().holds_open() > 0) {
      WaitForHolds(context, response.token(), wait, answered->mutable_receipt());
    }
  }
  if (context.settings().json()) {
    RETURN_IF_ERROR(context.ShowJson(response));
  } else if (!context.settings().quiet && response.unchanged()) {
    context.out() << unchanged;
  } else if (!context.settings().quiet) {
    context.out() << word << std::string(13 - word.size(), ' ') << "revision "
                  << response.revision() << "   " << SafeForTerminal(response.token().label())
                  << '\n';
  }
  if constexpr (requires { response.receipt(); }) {
    if (wait == absl::ZeroDuration()) return absl::OkStatus();
    const tollgate::v1::Receipt& receipt = response.receipt();
    const bool enforced = receipt.state() == tollgate::v1::ENFORCEMENT_STATE_ENFORCED;
    if (!context.settings().json() && !context.settings().quiet) {
      context.out() << ReceiptText(receipt, enforced_after);
      if (enforced) context.out() << HoldsText(receipt);
    }
    if (!enforced) {
      if (!context.settings().json()) context.err() << WaitingText(receipt);
      context.exit_code = kNotYetEnforced;
    } else if (options.holds && receipt.holds_open() > 0) {
      context.exit_code = kNotYetEnforced;
    }
  }
  return absl::OkStatus();
}

template <typename Strings>
bool Holds(const Strings& strings, const std::string& one) {
  return std::find(strings.begin(), strings.end(), one) != strings.end();
}

// Whether the change is told as a difference: it then needs the token as it is.
bool Merges(const CLI::App& verb) {
  return verb.count("--add-scope") > 0 || verb.count("--remove-scope") > 0 ||
         verb.count("--annotation") > 0;
}

absl::Status UpdateOnce(Context& context, const CLI::App& verb, const ChangeOptions& options) {
  tollgate::v1::UpdateTokenRequest request;
  tollgate::v1::Token& token = *request.mutable_token();
  ASSIGN_OR_RETURN(*token.mutable_name(), TokenNameFrom(options.token, options.workspace,
                                                        context.settings().workspace_typed));
  tollgate::v1::Token before;
  if (Merges(verb)) {
    tollgate::v1::GetTokenRequest get;
    get.set_name(token.name());
    RETURN_IF_ERROR(context.Ask(&TokenService::Stub::GetToken, get, &before));
    token.set_etag(before.etag());  // nobody's change in between is undone
  }
  const auto given = [&](const char* flag) { return verb.count(flag) > 0; };
  const auto mask = [&](const char* path) { request.mutable_update_mask()->add_paths(path); };
  if (given("--label")) {
    token.set_label(options.label);
    mask("label");
  }
  if (given("--scope") || options.no_scopes) {
    for (const std::string& scope : options.scopes) token.add_scopes(scope);
    mask("scopes");
  }
  if (given("--add-scope") || given("--remove-scope")) {
    for (const std::string& scope : before.scopes()) {
      if (!Holds(options.remove_scopes, scope)) token.add_scopes(scope);
    }
    for (const std::string& scope : options.add_scopes) {
      if (!Holds(token.scopes(), scope)) token.add_scopes(scope);
    }
    mask("scopes");
  }
  if (given("--audience") || options.no_audiences) {
    for (const std::string& audience : options.audiences) token.add_audiences(audience);
    mask("audiences");
  }
  if (given("--owner") || options.no_owner) {
    token.set_owner(options.owner);
    mask("owner");
  }
  if (given("--annotation") || options.no_annotations) {
    if (!options.no_annotations) *token.mutable_annotations() = before.annotations();
    for (const std::string& pair : options.annotations) {
      const std::vector<std::string> parts = absl::StrSplit(pair, absl::MaxSplits('=', 1));
      if (parts.size() == 2) {
        (*token.mutable_annotations())[parts[0]] = parts[1];
      } else if (absl::EndsWith(pair, "-")) {
        token.mutable_annotations()->erase(pair.substr(0, pair.size() - 1));
      } else {
        return absl::InvalidArgumentError(
            absl::StrCat("--annotation wants key=value, or key- to take one away, not '",
                         pair.substr(0, 40), "'"));
      }
    }
    mask("annotations");
  }
  if (given("--expires-in")) {
    ASSIGN_OR_RETURN(const absl::Duration lifetime, ParseHumanDuration(options.expires_in));
    *request.mutable_lifetime() = base::ToProto(lifetime);
    mask("expire_time");
  } else if (given("--expires-at")) {
    ASSIGN_OR_RETURN(const absl::Time at, ParseHumanTime(options.expires_at));
    *token.mutable_expire_time() = base::ToProto(at);
    mask("expire_time");
  } else if (options.no_expiry) {
    mask("expire_time");
  }
  if (request.update_mask().paths_size() == 0) {
    return absl::InvalidArgumentError(
        "nothing to change; give at least one of --label, --scope, --add-scope, --remove-scope, "
        "--audience, --owner, --annotation, --expires-in, --expires-at or their --no-… forms");
  }
  request.set_request_id(options.request_id);
  ASSIGN_OR_RETURN(const absl::Duration wait, FillWait(options.wait, &request));
  tollgate::v1::UpdateTokenResponse response;
  RETURN_IF_ERROR(context.Ask(&TokenService::Stub::UpdateToken, request, &response, wait));
  return PrintChanged(
      context, &response, "updated",
      absl::StrCat("no change    revision ", response.revision(), "   it was so already\n"),
      options.wait, wait);
}

// A difference holds whatever else was changed meanwhile: it is taken from the newer state.
absl::Status Update(Context& context, const CLI::App& verb, const ChangeOptions& options) {
  constexpr int kTries = 5;
  absl::Status done;
  for (int i = 0; i < kTries; ++i) {
    done = UpdateOnce(context, verb, options);
    if (base::ReasonOf(done) != "ETAG_MISMATCH") break;
  }
  return done;
}

absl::Status Retire(Context& context, const ChangeOptions& options) {
  tollgate::v1::RetireTokenRequest request;
  ASSIGN_OR_RETURN(*request.mutable_name(), TokenNameFrom(options.token, options.workspace,
                                                          context.settings().workspace_typed));
  request.set_force(options.force);
  if (!options.quiet_period.empty()) {
    ASSIGN_OR_RETURN(const absl::Duration quiet, ParseHumanDuration(options.quiet_period));
    *request.mutable_quiet_period() = base::ToProto(quiet);
  }
  request.set_request_id(options.request_id);
  ASSIGN_OR_RETURN(const absl::Duration wait, FillWait(options.wait, &request));
  tollgate::v1::RetireTokenResponse response;
  const absl::Status status =
      context.Ask(&TokenService::Stub::RetireToken, request, &response, wait);
  if (status.code() == absl::StatusCode::kFailedPrecondition && !options.force &&
      (base::ReasonOf(status) == "STILL_IN_USE" ||
       base::ReasonOf(status) == "REPLACEMENT_NEVER_SEEN" ||
       base::ReasonOf(status) == "EDGES_NOT_HEARD")) {
    return WithAdvice(status, "To retire it all the same: --force");
  }
  RETURN_IF_ERROR(status);
  return PrintChanged(context, &response, "retired",
                      NoChangeText(response.token(), response.revision(), "", context.now()),
                      options.wait, wait);
}

absl::Status Suspend(Context& context, const ChangeOptions& options) {
  tollgate::v1::SuspendTokenRequest request;
  ASSIGN_OR_RETURN(*request.mutable_name(), TokenNameFrom(options.token, options.workspace,
                                                          context.settings().workspace_typed));
  request.set_reason(options.reason);
  request.set_request_id(options.request_id);
  ASSIGN_OR_RETURN(const absl::Duration wait, FillWait(options.wait, &request));
  tollgate::v1::SuspendTokenResponse response;
  RETURN_IF_ERROR(context.Ask(&TokenService::Stub::SuspendToken, request, &response, wait));
  return PrintChanged(
      context, &response, "suspended",
      NoChangeText(response.token(), response.revision(), options.reason, context.now()),
      options.wait, wait);
}

absl::Status Resume(Context& context, const ChangeOptions& options) {
  tollgate::v1::ResumeTokenRequest request;
  ASSIGN_OR_RETURN(*request.mutable_name(), TokenNameFrom(options.token, options.workspace,
                                                          context.settings().workspace_typed));
  request.set_request_id(options.request_id);
  tollgate::v1::ResumeTokenResponse response;
  RETURN_IF_ERROR(context.Ask(&TokenService::Stub::ResumeToken, request, &response));
  return PrintChanged(context, &response, "resumed",
                      NoChangeText(response.token(), response.revision(), "", context.now()), {},
                      absl::ZeroDuration());
}

}  // namespace

void AddTokenChangeCommands(CLI::App& token, Context& context) {
  {
    auto options = std::make_shared<ChangeOptions>();
    CLI::App* verb =
        AddVerb(token, "update", "Change label, scopes, audiences, owner, annotations or expiry",
                options.get());
    verb->add_option("--label", options->label, "The new label");
    auto* scope = verb->add_option("--scope", options->scopes,
                                   "The new scopes, all of them, as in create; repeatable");
    auto* no_scopes = verb->add_flag("--no-scopes", options->no_scopes, "Take all scopes away");
    no_scopes->excludes(scope);
    for (CLI::Option* merging :
         {verb->add_option("--add-scope", options->add_scopes, "One scope more; repeatable"),
          verb->add_option("--remove-scope", options->remove_scopes,
                           "One scope less; repeatable")}) {
      merging->excludes(scope)->excludes(no_scopes);
    }
    auto* audience =
        verb->add_option("--audience", options->audiences, "The new audiences; repeatable");
    verb->add_flag("--no-audiences", options->no_audiences, "For any audience")->excludes(audience);
    auto* owner = verb->add_option("--owner", options->owner, "The new owner");
    verb->add_flag("--no-owner", options->no_owner, "Without an owner")->excludes(owner);
    auto* annotation = verb->add_option("--annotation", options->annotations,
                                        "Set key=value, or take key- away; repeatable");
    verb->add_flag("--no-annotations", options->no_annotations, "Without annotations")
        ->excludes(annotation);
    auto* expires = verb->add_option("--expires-in", options->expires_in, "From now on, as in 30d");
    auto* at =
        verb->add_option("--expires-at", options->expires_at,
                         "As in 2027-02-22 (its end, UTC), '2027-02-22 09:30 local' or RFC 3339")
            ->excludes(expires);
    verb->add_flag("--no-expiry", options->no_expiry, "Never expires")
        ->excludes(expires)
        ->excludes(at);
    options->wait.AddTo(*verb);
    verb->callback([&context, verb, options] { context.Fail(Update(context, *verb, *options)); });
  }
  {
    auto options = std::make_shared<ChangeOptions>();
    CLI::App* verb =
        AddVerb(token, "retire", "End a rotated token; refused while it is in use", options.get());
    verb->add_flag("--force", options->force, "Though it is in use, or its replacement never was");
    verb->add_option("--quiet-period", options->quiet_period, "In use means used within this time");
    options->wait.AddTo(*verb);
    verb->callback([&context, options] { context.Fail(Retire(context, *options)); });
  }
  {
    auto options = std::make_shared<ChangeOptions>();
    CLI::App* verb =
        AddVerb(token, "suspend", "Turn a token off until it is resumed", options.get());
    verb->add_option("--reason", options->reason, "Kept with the token and in the audit log");
    options->wait.AddTo(*verb);
    verb->callback([&context, options] { context.Fail(Suspend(context, *options)); });
  }
  {
    auto options = std::make_shared<ChangeOptions>();
    CLI::App* verb = AddVerb(token, "resume", "Turn a suspended token on again", options.get());
    verb->callback([&context, options] { context.Fail(Resume(context, *options)); });
  }
}

}  // namespace tollgate::cli
