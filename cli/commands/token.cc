#include "cli/commands/token.h"

#include <algorithm>
#include <memory>
#include <ostream>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/proto_time.h"
#include "base/secret.h"
#include "base/status.h"
#include "cli/commands/token_filter.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "tollgate/v1/token_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::Token;
using tollgate::v1::TokenService;

// Options that several verbs share; each verb owns one, alive as long as the app.
struct Which {
  std::string token;
  std::string workspace;
};

void AddWhich(CLI::App& app, Which* which) {
  app.add_option("token", which->token, "The token's id, or its full name")->required();
  AddWorkspaceOption(app, &which->workspace);
}

// How the token ended, where its state does not say it.
std::string EndedText(const Token& token) {
  switch (token.end().cause()) {
    case tollgate::v1::END_CAUSE_RETIRED:
      return "retired: another has taken its place";
    case tollgate::v1::END_CAUSE_COHORT:
      return "with others, by one revocation";
    case tollgate::v1::END_CAUSE_UNUSED:
      return "for not being used";
    default:
      return "";
  }
}

void PrintToken(const Token& token, absl::Time now, std::ostream& out) {
  const auto line = [&](absl::string_view name, absl::string_view value) {
    if (!value.empty()) {
      out << name << std::string(name.size() < 14 ? 14 - name.size() : 1, ' ')
          << SafeForTerminal(value) << '\n';
    }
  };
  line("token", token.name());
  line("label", token.label());
  line("state", StateText(token.state()));
  line("since", SinceText(token, now));
  line("ended", EndedText(token));
  line("reason", token.reason());
  line("scopes", absl::StrJoin(token.scopes(), ", "));
  line("audiences", absl::StrJoin(token.audiences(), ", "));
  line("owner", token.owner());
  line("creator", token.creator());
  for (const auto& [key, value] : token.annotations())
    line("annotation", absl::StrCat(key, "=", value));
  line("created", HumanTime(base::FromProto(token.create_time()), now));
  line("expires", ExpiresText(token, now));
  line("rotation", RotationText(token, now));
  line("replaces", token.replaces());
  line("replaced by", token.replaced_by());
  line("last used", LastUsedText(token, now));
  for (const std::string& edge : EdgeLines(token, now)) line("  at edge", edge);
  if (token.has_last_tried_time()) line("last tried", LastTriedText(token, now));
  line("revision", absl::StrCat(token.update_revision()));
}

// What to do about a token whose value is lost. `rotated`: what it was made to replace; empty:
// nothing.
std::string HowToGetAnother(const Token& token, const std::string& rotated) {
  if (rotated.empty()) {
    return absl::StrCat("Revoke it: tollgate token revoke ", SafeForTerminal(token.name()),
                        " --yes    and create another");
  }
  return absl::StrCat("Make another in its place: tollgate token rotate ", SafeForTerminal(rotated),
                      " --again    (or take the rotation back: --cancel)");
}

// What becomes of a new token whose value nobody could read.
enum class Unseen { kRevoke, kKeep };

// The token exists, whether or not anybody could read its value. One that replaces another is kept:
// the other's plan may end that, and then neither would be left.
void CheckShown(Context& context, const Token& token, Unseen unseen, const std::string& rotated) {
  if (context.out().flush()) return;
  std::string what = absl::StrCat("The value of ", SafeForTerminal(token.name()),
                                  " could not be written to standard output, and cannot be shown "
                                  "again. ");
  tollgate::v1::RevokeTokenRequest request;
  request.set_name(token.name());
  request.set_reason("its value was never shown");
  tollgate::v1::RevokeTokenResponse revoked;
  if (unseen == Unseen::kRevoke &&
      context.Ask(&TokenService::Stub::RevokeToken, request, &revoked).ok()) {
    absl::StrAppend(&what, "It was revoked");
  } else {
    absl::StrAppend(&what, "It exists.\n  ", HowToGetAnother(token, rotated));
  }
  context.Fail(base::Refuse(absl::StatusCode::kInternal, "SECRET_NOT_SHOWN", what));
}

// The answer to create and rotate (`rotated`: the token that was): the fresh secret, alone with
// --quiet, otherwise with a warning. Wipes the secret. FAILED_PRECONDITION (SECRET_WITHHELD), and
// nothing on standard output that could pass for a secret, where the answer holds none.
template <class Response>
absl::Status ShowMade(Context& context, Response* response, Unseen unseen,
                      const std::string& rotated = "") {
  const absl::Cleanup wipe = [response] { base::WipeString(response->mutable_token_string()); };
  const Token& token = response->token();
  if (response->secret_withheld()) {
    base::ErrorDetails details;
    details.reason = "SECRET_WITHHELD";
    details.metadata = {{"token", token.name()}};
    return base::Refuse(
        absl::StatusCode::kFailedPrecondition,
        absl::StrCat("this repeats an earlier request: the token exists (",
                     SafeForTerminal(token.name()),
                     "), but its value was shown then and cannot be shown again.\n  ",
                     HowToGetAnother(token, rotated)),
        details);
  }
  if (context.settings().json()) {
    RETURN_IF_ERROR(context.ShowJson(*response));
  } else if (context.settings().quiet) {
    context.out() << response->token_string() << '\n';
  } else {
    context.out() << SafeForTerminal(token.name()) << "   "
                  << (token.has_expire_time()
                          ? absl::StrCat("expires ",
                                         absl::FormatTime("%Y-%m-%d %H:%M UTC",
                                                          base::FromProto(token.expire_time()),
                                                          absl::UTCTimeZone()))
                          : std::string("never expires"))
                  << "\n\n  " << response->token_string()
                  << "\n\nCopy it now: it cannot be shown again.\n";
  }
  CheckShown(context, token, unseen, rotated);
  return absl::OkStatus();
}

struct CreateOptions {
  std::string workspace, label, owner, expires_in, expires_at, request_id;
  std::vector<std::string> scopes, audiences, annotations;
  bool create_workspace = false;
};

absl::Status Create(Context& context, const CreateOptions& options) {
  tollgate::v1::CreateTokenRequest request;
  ASSIGN_OR_RETURN(*request.mutable_parent(), ParentFrom(options.workspace));
  Token& token = *request.mutable_token();
  token.set_label(options.label);
  token.set_owner(options.owner);
  for (const std::string& scope : options.scopes) token.add_scopes(scope);
  for (const std::string& audience : options.audiences) token.add_audiences(audience);
  RETURN_IF_ERROR(FillAnnotations(options.annotations, token.mutable_annotations()));
  if (!options.expires_in.empty()) {
    ASSIGN_OR_RETURN(const absl::Duration lifetime, ParseHumanDuration(options.expires_in));
    *request.mutable_lifetime() = base::ToProto(lifetime);
  }
  if (!options.expires_at.empty()) {
    ASSIGN_OR_RETURN(const absl::Time at, ParseHumanTime(options.expires_at));
    *token.mutable_expire_time() = base::ToProto(at);
  }
  request.set_request_id(options.request_id);
  request.set_create_workspace(options.create_workspace);

  tollgate::v1::CreateTokenResponse response;
  const absl::Status asked = context.Ask(&TokenService::Stub::CreateToken, request, &response);
  if (base::ReasonOf(asked) == "WORKSPACE_NOT_FOUND") {
    return WithAdvice(asked, "To make it: --create-workspace");
  }
  RETURN_IF_ERROR(asked);
  return ShowMade(context, &response, Unseen::kRevoke);
}

struct RotateOptions {
  Which which;
  std::string when_silent, retire_in, expires_in, request_id;
  bool drop_scopes = false;
  bool again = false, replan = false, cancel = false;
};

// The plan that was asked for; false: none was.
absl::StatusOr<bool> FillPlan(const RotateOptions& options, tollgate::v1::RetirePlan* plan) {
  if (!options.when_silent.empty()) {
    ASSIGN_OR_RETURN(const absl::Duration quiet, ParseHumanDuration(options.when_silent));
    *plan->mutable_when_silent() = base::ToProto(quiet);
    return true;
  }
  if (!options.retire_in.empty()) {
    ASSIGN_OR_RETURN(const absl::Duration overlap, ParseHumanDuration(options.retire_in));
    *plan->mutable_after() = base::ToProto(overlap);
    return true;
  }
  return false;
}

// What the old token does, and what becomes of a replacement that was given up.
void TellOld(Context& context, const Token& old) {
  context.out() << "The old one, " << SafeForTerminal(old.token_id())
                << (old.state() == tollgate::v1::TOKEN_STATE_SUSPENDED ? ", is suspended and "
                                                                       : ", still works and ")
                << RotationText(old, context.now()) << ".\n";
}
void TellGivenUp(Context& context, const Token& given_up) {
  context.out() << "The replacement before, " << SafeForTerminal(given_up.token_id())
                << (given_up.has_end()
                        ? absl::StrCat(", ", AlreadyText(given_up, context.now()))
                        : std::string(
                              ", ends by itself: as soon as every edge has said that it was not "
                              "used, or else once it is silent"))
                << ".\n";
}

// What the policy lets be granted no more, and the old one has.
void TellDropped(Context& context, const tollgate::v1::RotateTokenResponse& made) {
  std::vector<std::string> dropped;
  const auto& kept = made.token().scopes();
  for (const std::string& scope : made.replaced().scopes()) {
    if (std::find(kept.begin(), kept.end(), scope) == kept.end()) dropped.push_back(scope);
  }
  if (dropped.empty()) return;
  context.out() << "The new one has not, as the policy lets them be granted no more: "
                << SafeForTerminal(absl::StrJoin(dropped, ", ")) << ".\n";
}

absl::Status Replan(Context& context, const std::string& name, const RotateOptions& options) {
  tollgate::v1::ReplanRotationRequest request;
  request.set_name(name);
  request.set_request_id(options.request_id);
  ASSIGN_OR_RETURN(const bool given, FillPlan(options, request.mutable_retire_plan()));
  if (!given) request.mutable_retire_plan()->set_by_hand(true);
  tollgate::v1::ReplanRotationResponse response;
  RETURN_IF_ERROR(context.Ask(&TokenService::Stub::ReplanRotation, request, &response));
  if (context.settings().json()) return context.ShowJson(response);
  if (!context.settings().quiet) TellOld(context, response.token());
  return absl::OkStatus();
}

absl::Status CancelRotation(Context& context, const std::string& name,
                            const RotateOptions& options) {
  tollgate::v1::CancelRotationRequest request;
  request.set_name(name);
  request.set_request_id(options.request_id);
  tollgate::v1::CancelRotationResponse response;
  RETURN_IF_ERROR(context.Ask(&TokenService::Stub::CancelRotation, request, &response));
  if (context.settings().json()) return context.ShowJson(response);
  if (!context.settings().quiet) {
    context.out() << SafeForTerminal(response.token().token_id())
                  << " has no replacement any more; it is " << StateText(response.token().state())
                  << ".\n";
    TellGivenUp(context, response.given_up());
  }
  return absl::OkStatus();
}

absl::Status Rotate(Context& context, const RotateOptions& options) {
  tollgate::v1::RotateTokenRequest request;
  ASSIGN_OR_RETURN(*request.mutable_name(),
                   TokenNameFrom(options.which.token, options.which.workspace,
                                 context.settings().workspace_typed));
  if (options.replan) return Replan(context, request.name(), options);
  if (options.cancel) return CancelRotation(context, request.name(), options);
  request.set_again(options.again);
  tollgate::v1::RetirePlan plan;
  ASSIGN_OR_RETURN(const bool given, FillPlan(options, &plan));
  if (!given && !options.again) plan.set_by_hand(true);
  if (given || !options.again) *request.mutable_retire_plan() = plan;
  if (!options.expires_in.empty()) {
    ASSIGN_OR_RETURN(const absl::Duration lifetime, ParseHumanDuration(options.expires_in));
    *request.mutable_lifetime() = base::ToProto(lifetime);
  }
  request.set_request_id(options.request_id);
  request.set_drop_ungrantable_scopes(options.drop_scopes);

  tollgate::v1::RotateTokenResponse response;
  const absl::Status asked = context.Ask(&TokenService::Stub::RotateToken, request, &response);
  if (base::ReasonOf(asked) == "SCOPE_NOT_GRANTABLE" && !options.drop_scopes) {
    return WithAdvice(asked, "To rotate without such scopes: --drop-ungrantable-scopes");
  }
  if (base::ReasonOf(asked) == "LABEL_PATTERN_MISMATCH") {
    return WithAdvice(asked, "To give it another label first: tollgate token update ID --label …");
  }
  if (base::ReasonOf(asked) == "ALREADY_ROTATED" && !options.again) {
    return WithAdvice(asked, "Where the replacement's value was lost: --again");
  }
  RETURN_IF_ERROR(asked);
  RETURN_IF_ERROR(ShowMade(context, &response, Unseen::kKeep, response.replaced().name()));
  if (!context.settings().json() && !context.settings().quiet && context.exit_code == kDone) {
    TellOld(context, response.replaced());
    TellDropped(context, response);
    if (response.has_given_up()) TellGivenUp(context, response.given_up());
  }
  return absl::OkStatus();
}

absl::Status Get(Context& context, const Which& which) {
  tollgate::v1::GetTokenRequest request;
  ASSIGN_OR_RETURN(*request.mutable_name(),
                   TokenNameFrom(which.token, which.workspace, context.settings().workspace_typed));
  Token token;
  RETURN_IF_ERROR(context.Ask(&TokenService::Stub::GetToken, request, &token));
  if (context.settings().json()) {
    RETURN_IF_ERROR(context.ShowJson(token));
  } else if (context.settings().quiet) {
    context.out() << SafeForTerminal(token.name()) << '\n';
  } else {
    PrintToken(token, context.now(), context.out());
  }
  return absl::OkStatus();
}

}  // namespace

void AddWorkspaceOption(CLI::App& verb, std::string* workspace) {
  verb.add_option("-w,--workspace", *workspace, "The workspace")->envname("TOLLGATE_WORKSPACE");
}

void WaitOptions::AddTo(CLI::App& verb) {
  verb.add_flag("--wait", wait, "Wait until it is enforced at every edge");
  verb.add_flag("--wait-holds", holds,
                "Wait for that, and until nothing is open any more that it ended");
  timeout_given =
      verb.add_option("--wait-timeout", timeout, "With a wait: at most this long; it stays done")
          ->capture_default_str();
}

absl::StatusOr<absl::Duration> WaitOptions::Parse() const {
  if (!wait && !holds) {
    if (timeout_given == nullptr || timeout_given->count() == 0) return absl::ZeroDuration();
    return absl::InvalidArgumentError("--wait-timeout requires --wait or --wait-holds");
  }
  return ParseHumanDuration(timeout);
}

void AddTokenReadCommands(CLI::App& token, Context& context) {
  {
    auto options = std::make_shared<CreateOptions>();
    CLI::App* verb = token.add_subcommand("create", "Make a token, and show its value once");
    AddWorkspaceOption(*verb, &options->workspace);
    verb->add_option("--label", options->label, "What a person will recognise it by")->required();
    verb->add_option("--scope", options->scopes,
                     "What it allows: deploy:write, or deploy:* for all beneath; repeatable");
    verb->add_option("--audience", options->audiences, "For which service; repeatable");
    verb->add_option("--owner", options->owner, "Who answers for it");
    verb->add_option("--annotation", options->annotations, "key=value; repeatable");
    auto* in = verb->add_option("--expires-in", options->expires_in, "Lifetime, as in 90d");
    verb->add_option("--expires-at", options->expires_at,
                     "As in 2027-02-22 (its end, UTC), '2027-02-22 09:30 local' or RFC 3339")
        ->excludes(in);
    verb->add_flag("--create-workspace", options->create_workspace,
                   "Make the workspace, too, where there is none of that name");
    verb->add_option("--request-id", options->request_id, "Makes a retry safe");
    verb->callback([&context, options] { context.Fail(Create(context, *options)); });
  }
  {
    auto which = std::make_shared<Which>();
    CLI::App* verb = token.add_subcommand("get", "Show one token, with its use by edge");
    AddWhich(*verb, which.get());
    verb->callback([&context, which] { context.Fail(Get(context, *which)); });
  }
  {
    auto options = std::make_shared<RotateOptions>();
    CLI::App* verb =
        token.add_subcommand("rotate", "Make a replacement; the old one works until it is retired");
    AddWhich(*verb, &options->which);
    auto* silent =
        verb->add_option("--retire-when-silent", options->when_silent,
                         "Retire the old one by itself, once the new one is in use and the old one "
                         "has been quiet at every edge for this long");
    auto* in = verb->add_option("--retire-in", options->retire_in,
                                "Retire the old one after this long, in use or not")
                   ->excludes(silent);
    auto* expires =
        verb->add_option("--expires-in", options->expires_in, "The replacement's lifetime");
    auto* drop = verb->add_flag("--drop-ungrantable-scopes", options->drop_scopes,
                                "Leave out what the policy lets be granted no more");
    auto* again = verb->add_flag("--again", options->again,
                                 "It was rotated, and nobody has used the replacement (its value "
                                 "was lost): make another in its place");
    auto* replan = verb->add_flag("--replan", options->replan,
                                  "It was rotated: only change how it retires (by hand, where no "
                                  "--retire-… is given)")
                       ->excludes(again)
                       ->excludes(expires)
                       ->excludes(drop);
    auto* cancel = verb->add_flag("--cancel", options->cancel,
                                  "It was rotated, and nobody has used the replacement: take that "
                                  "back");
    for (CLI::Option* other : {again, replan, silent, in, expires, drop}) cancel->excludes(other);
    verb->add_option("--request-id", options->request_id, "Makes a retry safe");
    verb->callback([&context, options] { context.Fail(Rotate(context, *options)); });
  }
}

void AddTokenCommands(CLI::App& app, Context& context) {
  CLI::App* token = app.add_subcommand("token", "Create, list, rotate and revoke tokens");
  token->require_subcommand(1);
  AddTokenReadCommands(*token, context);
  AddTokenListCommand(*token, context);
  AddTokenChangeCommands(*token, context);
  AddTokenRevokeCommand(*token, context);
  AddTokenAttemptsCommand(*token, context);
  AddTokenHistoryCommand(*token, context);
  AddTokenCheckCommand(*token, context);
}

}  // namespace tollgate::cli
