// Update, retire, suspend, resume.
#include <algorithm>
#include <cstring>
#include <memory>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/optional.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands/each_token.h"
#include "cli/commands/enforcement_wait.h"
#include "cli/commands/token.h"
#include "cli/commands/token_filter.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "cli/interrupt.h"
#include "tollgate/v1/token_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::TokenService;

struct ChangeOptions {
  TokenChoice choice;
  std::string token, workspace;  // of a verb that changes one
  std::string reason, quiet_period, request_id;
  WaitOptions wait;
  bool force = false;
  // update
  std::string label, owner, expires_in, expires_at;
  std::vector<std::string> scopes, audiences, annotations, add_scopes, remove_scopes;
  bool no_scopes = false, no_audiences = false, no_annotations = false, no_owner = false,
       no_expiry = false;
};

// What was done to one token, and how it is told.
struct Deed {
  const char* verb;  // "suspend"
  const char* done;  // "suspended"
};

template <typename Response>
constexpr bool kHasReceipt = requires(Response response) { response.receipt(); };

// Makes the change of all that was chosen, tells of it, and waits as asked. `change` fills the
// answer for a name and a request id; `unchanged`: the lines where there was nothing to do.
template <typename Response, typename Change, typename Unchanged>
absl::Status Perform(Context& context, const ChosenTokens& chosen, bool several,
                     const ChangeOptions& options, const Deed& deed, Change change,
                     Unchanged unchanged) {
  if (!chosen.agreed) return absl::OkStatus();
  const bool talks = !context.settings().json() && !context.settings().quiet;
  absl::Duration wait;
  absl::optional<Interrupt> interrupt;  // from here on Ctrl-C ends only the wait
  if constexpr (kHasReceipt<Response>) {
    ASSIGN_OR_RETURN(wait, options.wait.Parse());
    if (wait > absl::ZeroDuration()) interrupt.emplace();
  }
  const absl::Time started = context.now();
  ASSIGN_OR_RETURN(
      std::vector<Response> done,
      ChangeEach<Response>(
          context, interrupt.has_value() ? &*interrupt : nullptr, chosen, several,
          options.request_id,
          [&](const std::string& name, const std::string& request_id, Response* response) {
            RETURN_IF_ERROR(change(name, request_id, response));
            if (talks && response->unchanged()) {
              context.out() << unchanged(*response) << std::flush;
            } else if (talks) {
              context.out() << deed.done << std::string(13 - strlen(deed.done), ' ') << "revision "
                            << response->revision() << "   "
                            << SafeForTerminal(response->token().label()) << '\n'
                            << std::flush;
            }
            return absl::OkStatus();
          }));
  if (done.empty()) return absl::OkStatus();  // every error is told
  if constexpr (kHasReceipt<Response>) {
    Response& last = Newest(done);
    if (wait > absl::ZeroDuration()) {
      WaitGoal goal;
      goal.revision = last.revision();
      goal.epoch = last.receipt().epoch();
      goal.token = several ? "" : last.token().name();
      goal.holds = options.wait.holds;
      goal.at_most = wait;
      goal.started = started;
      WaitAfterChange(context, *interrupt, goal, deed.done, last.mutable_receipt());
    }
  }
  if (context.settings().json()) return ShowResults(context, done, several);
  return absl::OkStatus();
}

// Asks for a receipt at once where it is waited for: the revision and its epoch then belong
// together, and no restore can come between.
template <typename Request>
void AskForEpoch(const WaitOptions& wait, Request* request) {
  if (wait.wait || wait.holds) request->mutable_wait_enforced();
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

absl::Status UpdateOnce(Context& context, const CLI::App& verb, const ChangeOptions& options,
                        const std::string& name, const std::string& request_id,
                        tollgate::v1::UpdateTokenResponse* response) {
  tollgate::v1::UpdateTokenRequest request;
  tollgate::v1::Token& token = *request.mutable_token();
  token.set_name(name);
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
  request.set_request_id(request_id);
  AskForEpoch(options.wait, &request);
  return context.Ask(&TokenService::Stub::UpdateToken, request, response);
}

absl::Status Update(Context& context, const CLI::App& verb, const ChangeOptions& options) {
  if (options.choice.several() && verb.count("--label") > 0) {
    return absl::InvalidArgumentError(
        "--label: a label is of one token; several are to be changed");
  }
  ASSIGN_OR_RETURN(const ChosenTokens chosen, ChooseTokens(context, options.choice, "update",
                                                           LiveStates(), options.request_id));
  return Perform<tollgate::v1::UpdateTokenResponse>(
      context, chosen, options.choice.several(), options, {"update", "updated"},
      [&](const std::string& name, const std::string& request_id, auto* response) {
        // A difference holds whatever else was changed meanwhile: it is taken from the newer state.
        constexpr int kTries = 5;
        absl::Status done;
        for (int i = 0; i < kTries; ++i) {
          done = UpdateOnce(context, verb, options, name, request_id, response);
          if (base::ReasonOf(done) != "ETAG_MISMATCH") break;
        }
        return done;
      },
      [](const auto& response) {
        return absl::StrCat("no change    revision ", response.revision(),
                            "   it was so already\n");
      });
}

absl::Status Retire(Context& context, const ChangeOptions& options) {
  ChosenTokens chosen;
  chosen.tokens.emplace_back();
  ASSIGN_OR_RETURN(
      *chosen.tokens[0].mutable_name(),
      TokenNameFrom(options.token, options.workspace, context.settings().workspace_typed));
  return Perform<tollgate::v1::RetireTokenResponse>(
      context, chosen, /*several=*/false, options, {"retire", "retired"},
      [&](const std::string& name, const std::string& request_id, auto* response) {
        tollgate::v1::RetireTokenRequest request;
        request.set_name(name);
        request.set_force(options.force);
        if (!options.quiet_period.empty()) {
          ASSIGN_OR_RETURN(const absl::Duration quiet, ParseHumanDuration(options.quiet_period));
          *request.mutable_quiet_period() = base::ToProto(quiet);
        }
        request.set_request_id(request_id);
        AskForEpoch(options.wait, &request);
        const absl::Status status =
            context.Ask(&TokenService::Stub::RetireToken, request, response);
        if (status.code() == absl::StatusCode::kFailedPrecondition && !options.force &&
            (base::ReasonOf(status) == "STILL_IN_USE" ||
             base::ReasonOf(status) == "REPLACEMENT_NEVER_SEEN" ||
             base::ReasonOf(status) == "EDGES_NOT_HEARD")) {
          return WithAdvice(status, "To retire it all the same: --force");
        }
        return status;
      },
      [&](const auto& response) {
        return NoChangeText(response.token(), response.revision(), "", context.now());
      });
}

absl::Status Suspend(Context& context, const ChangeOptions& options) {
  ASSIGN_OR_RETURN(const ChosenTokens chosen, ChooseTokens(context, options.choice, "suspend",
                                                           LiveStates(), options.request_id));
  return Perform<tollgate::v1::SuspendTokenResponse>(
      context, chosen, options.choice.several(), options, {"suspend", "suspended"},
      [&](const std::string& name, const std::string& request_id, auto* response) {
        tollgate::v1::SuspendTokenRequest request;
        request.set_name(name);
        request.set_reason(options.reason);
        request.set_request_id(request_id);
        AskForEpoch(options.wait, &request);
        return context.Ask(&TokenService::Stub::SuspendToken, request, response);
      },
      [&](const auto& response) {
        return NoChangeText(response.token(), response.revision(), options.reason, context.now());
      });
}

absl::Status Resume(Context& context, const ChangeOptions& options) {
  ASSIGN_OR_RETURN(const ChosenTokens chosen,
                   ChooseTokens(context, options.choice, "resume",
                                {tollgate::v1::TOKEN_STATE_SUSPENDED}, options.request_id));
  return Perform<tollgate::v1::ResumeTokenResponse>(
      context, chosen, options.choice.several(), options, {"resume", "resumed"},
      [&](const std::string& name, const std::string& request_id, auto* response) {
        tollgate::v1::ResumeTokenRequest request;
        request.set_name(name);
        request.set_request_id(request_id);
        return context.Ask(&TokenService::Stub::ResumeToken, request, response);
      },
      [&](const auto& response) {
        return NoChangeText(response.token(), response.revision(), "", context.now());
      });
}

CLI::App* AddVerb(CLI::App& token, const char* name, const char* what, ChangeOptions* options,
                  bool plain_label) {
  CLI::App* verb = token.add_subcommand(name, what);
  options->choice.AddTo(*verb, plain_label);
  verb->add_option("--request-id", options->request_id, "Makes a retry safe");
  return verb;
}

}  // namespace

void AddTokenChangeCommands(CLI::App& token, Context& context) {
  {
    auto options = std::make_shared<ChangeOptions>();
    CLI::App* verb =
        AddVerb(token, "update", "Change label, scopes, audiences, owner, annotations or expiry",
                options.get(), /*plain_label=*/false);
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
        token.add_subcommand("retire", "End a rotated token; refused while it is in use");
    verb->add_option("token", options->token, "The token's id, or its full name")->required();
    AddWorkspaceOption(*verb, &options->workspace);
    verb->add_option("--request-id", options->request_id, "Makes a retry safe");
    verb->add_flag("--force", options->force, "Though it is in use, or its replacement never was");
    verb->add_option("--quiet-period", options->quiet_period, "In use means used within this time");
    options->wait.AddTo(*verb);
    verb->callback([&context, options] { context.Fail(Retire(context, *options)); });
  }
  {
    auto options = std::make_shared<ChangeOptions>();
    CLI::App* verb =
        AddVerb(token, "suspend", "Turn tokens off until they are resumed", options.get(),
                /*plain_label=*/true);
    verb->add_option("--reason", options->reason, "Kept with the token and in the audit log");
    options->wait.AddTo(*verb);
    verb->callback([&context, options] { context.Fail(Suspend(context, *options)); });
  }
  {
    auto options = std::make_shared<ChangeOptions>();
    CLI::App* verb = AddVerb(token, "resume", "Turn suspended tokens on again", options.get(),
                             /*plain_label=*/true);
    verb->callback([&context, options] { context.Fail(Resume(context, *options)); });
  }
}

}  // namespace tollgate::cli
