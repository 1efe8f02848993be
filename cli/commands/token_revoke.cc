// Revoke: one token, a cohort, or one that leaked.
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "base/secret.h"
#include "base/status.h"
#include "cli/commands/each_token.h"
#include "cli/commands/enforcement_wait.h"
#include "cli/commands/token.h"
#include "cli/commands/token_filter.h"
#include "cli/commands/token_text.h"
#include "cli/interrupt.h"
#include "token/digest.h"
#include "token/pasted_text.h"
#include "token/token_string.h"
#include "tollgate/v1/token_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::Receipt;
using tollgate::v1::Token;
using tollgate::v1::TokenService;

// Extra time for the answer to arrive after a wait has ended.
constexpr absl::Duration kForTheAnswer = absl::Seconds(2);
std::string Tokens(int64_t count) { return absl::StrCat(count, count == 1 ? " token" : " tokens"); }

struct RevokeOptions {
  TokenChoice choice;
  std::string owner, reason, edge_digest, request_id;
  WaitOptions wait;
  bool all = false, leaked = false, allow_empty = false;
};

class Revoker {
 public:
  Revoker(Context& context, const RevokeOptions& options)
      : context_(context), options_(options), choice_(options.choice) {}

  absl::Status Run() {
    const int kinds = (choice_.any() ? 1 : 0) + (options_.all ? 1 : 0) +
                      (options_.leaked || !options_.edge_digest.empty() ? 1 : 0);
    if (kinds != 1) {
      return absl::InvalidArgumentError(
          "say what to revoke: tokens' ids, or --label LABEL, or conditions (--where-…), or --all "
          "[--owner OWNER], or --leaked (the token string on standard input), or --edge-digest "
          "HEX");
    }
    ASSIGN_OR_RETURN(wait_, options_.wait.Parse());
    if (options_.all) return RevokeCohort();
    if (choice_.any()) return RevokeChosen();
    if (choice_.dry_run || choice_.expected >= 0) {
      return absl::InvalidArgumentError(
          "--dry-run and --expect go with ids, a label, conditions or --all");
    }
    return RevokeLeaked();
  }

 private:
  bool talks() const { return !context_.settings().json() && !context_.settings().quiet; }

  absl::Status RevokeChosen() {
    ASSIGN_OR_RETURN(const ChosenTokens chosen,
                     ChooseTokens(context_, choice_, "revoke", LiveStates(), options_.request_id));
    if (!chosen.agreed) return absl::OkStatus();
    if (!choice_.several() && !choice_.yes) {
      tollgate::v1::GetTokenRequest get;
      get.set_name(chosen.tokens[0].name());
      Token token;
      RETURN_IF_ERROR(context_.Ask(&TokenService::Stub::GetToken, get, &token));
      ASSIGN_OR_RETURN(const bool yes,
                       context_.Confirm(absl::StrCat("Revoke ", LabelAndUse(token), "?"), false));
      if (!yes) {
        context_.TellNothingChanged();
        return absl::OkStatus();
      }
    }
    const absl::Time started = context_.now();
    Begin();
    ASSIGN_OR_RETURN(
        std::vector<tollgate::v1::RevokeTokenResponse> done,
        ChangeEach<tollgate::v1::RevokeTokenResponse>(
            context_, interrupt_.has_value() ? &*interrupt_ : nullptr, chosen, choice_.several(),
            options_.request_id,
            [&](const std::string& name, const std::string& request_id, auto* response) {
              tollgate::v1::RevokeTokenRequest request;
              request.set_name(name);
              request.set_reason(options_.reason);
              request.set_request_id(request_id);
              AskForEpoch(&request);
              RETURN_IF_ERROR(context_.Ask(&TokenService::Stub::RevokeToken, request, response));
              Tell(*response, options_.reason,
                   choice_.several() ? SafeForTerminal(response->token().label()) : "");
              return absl::OkStatus();
            }));
    if (done.empty()) return absl::OkStatus();  // every error is told
    // Whoever has enforced the newest revision has enforced all of them.
    auto& last = Newest(done);
    RETURN_IF_ERROR(Follow(choice_.several() ? "" : chosen.tokens[0].name(), started,
                           last.revision(), last.mutable_receipt()));
    if (context_.settings().json()) return ShowResults(context_, done, choice_.several());
    return absl::OkStatus();
  }

  // "\"CI deploy key\", last used 2 min ago from 2 edges"
  std::string LabelAndUse(const Token& token) {
    std::string used = IsOperatorToken(token) ? "whose use is not recorded" : "never used";
    if (token.has_last_used_time()) {
      used = absl::StrCat("last used ", LastUsedText(token, context_.now()), " from ",
                          token.edge_uses_size(), token.edge_uses_size() == 1 ? " edge" : " edges");
    }
    if (token.has_end()) absl::StrAppend(&used, ", which ", AlreadyText(token, context_.now()));
    return absl::StrCat("\"", SafeForTerminal(token.label()), "\", ", used);
  }

  // Says what the token string tells by itself, and how to learn what the service knows: the
  // service is asked by name, a name needs the workspace, and no token string tells that.
  std::string WhatLeaked(const std::string& public_id) {
    if (choice_.workspace.empty()) {
      return absl::StrCat("the token ", public_id,
                          " (with -w WORKSPACE its label and last use are told here)");
    }
    tollgate::v1::GetTokenRequest get;
    const absl::StatusOr<std::string> name =
        TokenNameFrom(public_id, choice_.workspace, context_.settings().workspace_typed);
    absl::Status asked = name.status();
    Token token;
    if (name.ok()) {
      get.set_name(*name);
      asked = context_.Ask(&TokenService::Stub::GetToken, get, &token);
    }
    if (asked.ok()) return absl::StrCat("the token ", public_id, ", ", LabelAndUse(token));
    return absl::StrCat(
        "the token ", public_id,
        absl::IsNotFound(asked)
            ? absl::StrCat(", which is none of ", SafeForTerminal(choice_.workspace))
            : std::string(", whose label and last use could not be asked for"));
  }

  absl::Status RevokeLeaked() {
    tollgate::v1::RevokeLeakedTokenRequest request;
    std::string public_id;
    if (options_.leaked) {
      ASSIGN_OR_RETURN(const token::EdgeDigest digest, DigestOfLeaked(&public_id));
      request.set_edge_digest(digest.bytes().data(), digest.bytes().size());
    } else {
      request.set_edge_digest(absl::HexStringToBytes(options_.edge_digest));
    }
    if (!choice_.yes) {
      // Nothing can be known of a digest before it is revoked.
      const std::string what =
          options_.leaked
              ? WhatLeaked(public_id)
              : absl::StrCat("the token with the digest ", options_.edge_digest.substr(0, 12), "…");
      ASSIGN_OR_RETURN(const bool yes, context_.Confirm(absl::StrCat("Revoke ", what, "?"), false));
      if (!yes) {
        context_.TellNothingChanged();
        return absl::OkStatus();
      }
    }
    request.set_reason(options_.reason.empty() ? "leaked" : options_.reason);
    request.set_request_id(options_.request_id);
    AskForEpoch(&request);
    tollgate::v1::RevokeLeakedTokenResponse response;
    const absl::Time started = context_.now();
    Begin();
    RETURN_IF_ERROR(context_.Ask(&TokenService::Stub::RevokeLeakedToken, request, &response));
    if (talks()) {
      context_.out() << SafeForTerminal(response.token().name()) << "   "
                     << SafeForTerminal(response.token().label()) << '\n';
    }
    Tell(response, request.reason(), "");
    RETURN_IF_ERROR(
        Follow(response.token().name(), started, response.revision(), response.mutable_receipt()));
    if (context_.settings().json()) return context_.ShowJson(response);
    return absl::OkStatus();
  }

  // The digest of the token string on standard input. Only the digest leaves the process (I6), so
  // the service cannot store, log or copy the string. The service cannot tell a string that was not
  // copied whole from one of another installation, so this function does. `public_id`: the token's,
  // which is no secret.
  absl::StatusOr<token::EdgeDigest> DigestOfLeaked(std::string* public_id) {
    const base::SecretBytes secret = context_.ReadSecret();
    const absl::string_view found = secret.RevealSecret();
    if (found.empty()) return absl::InvalidArgumentError("no token string on standard input");
    const size_t kind = found.find('_');
    if (kind != absl::string_view::npos && kind > 0) {
      const absl::StatusOr<token::TokenFormat> format =
          token::TokenFormat::ForBrand(found.substr(0, kind - 1));
      token::TokenFormat::Parsed parsed;
      if (format.ok() && format->Parse(found, &parsed) == token::TokenDefect::kNone) {
        *public_id = std::string(parsed.public_id);
        return token::EdgeDigest::Of(found);
      }
    }
    return base::Refuse(
        absl::StatusCode::kInvalidArgument, "TOKEN_STRING_MALFORMED",
        absl::StrCat("what came on standard input ", token::FaultOfPastedText(found),
                     ". Give the token string alone, from its first character to its last: brand "
                     "and kind, '_' and 65 letters and digits, whose last 6 are a checksum"));
  }

  absl::Status RevokeCohort() {
    tollgate::v1::RevokeTokensRequest request;
    ASSIGN_OR_RETURN(*request.mutable_parent(), ParentFrom(choice_.workspace));
    request.set_owner(options_.owner);
    request.set_reason(options_.reason);
    request.set_allow_empty(options_.allow_empty);
    const std::string of = options_.owner.empty() ? request.parent()
                                                  : absl::StrCat(SafeForTerminal(options_.owner),
                                                                 " in ", request.parent());
    tollgate::v1::RevokeTokensResponse response;
    if (choice_.dry_run || !choice_.yes) {
      tollgate::v1::RevokeTokensRequest ask = request;
      ask.set_validate_only(true);
      ask.set_request_id(options_.request_id);
      RETURN_IF_ERROR(OfCohort(context_.Ask(&TokenService::Stub::RevokeTokens, ask, &response)));
      if (choice_.dry_run && context_.settings().json()) {
        RETURN_IF_ERROR(context_.ShowJson(response));
        return absl::OkStatus();
      }
      if (choice_.dry_run) {
        TellCohort(context_.out(), response, of);
        return absl::OkStatus();
      }
      if (response.revision() == 0) {
        ASSIGN_OR_RETURN(const bool yes, AgreeTo(request, response, of));
        if (!yes) {
          context_.TellNothingChanged();
          return absl::OkStatus();
        }
        // The person has agreed to exactly this number.
        request.set_expected_count(response.token_count());
      }
    }
    if (choice_.expected >= 0) request.set_expected_count(choice_.expected);
    request.set_request_id(options_.request_id);
    AskForEpoch(&request);
    response.Clear();
    const absl::Time started = context_.now();
    Begin();
    const absl::Status asked = context_.Ask(&TokenService::Stub::RevokeTokens, request, &response);
    RETURN_IF_ERROR(OfCohort(asked));
    Tell(response, request.reason(), absl::StrCat(Tokens(response.token_count()), " of ", of));
    RETURN_IF_ERROR(Follow("", started, response.revision(), response.mutable_receipt()));
    if (context_.settings().json()) return context_.ShowJson(response);
    return absl::OkStatus();
  }

  // What it would do, or, where the same --request-id has done it before, has done.
  void TellCohort(std::ostream& where, const tollgate::v1::RevokeTokensResponse& counted,
                  absl::string_view of) {
    where << (counted.revision() == 0 ? "would revoke " : "has revoked, under this --request-id, ")
          << Tokens(counted.token_count()) << " of " << of << '\n';
    TellRecentlyUsed(where, counted);
  }

  void TellRecentlyUsed(std::ostream& where, const tollgate::v1::RevokeTokensResponse& counted) {
    for (const Token& token : counted.recently_used()) {
      where << "  " << SafeForTerminal(token.token_id()) << "  " << SafeForTerminal(token.label())
            << ", last used " << LastUsedText(token, context_.now()) << '\n';
    }
  }

  absl::StatusOr<bool> AgreeTo(const tollgate::v1::RevokeTokensRequest& request,
                               const tollgate::v1::RevokeTokensResponse& counted,
                               absl::string_view of) {
    TellRecentlyUsed(context_.err(), counted);
    const std::string hit = absl::StrCat(Tokens(counted.token_count()), " of ", of, ", ",
                                         counted.recently_used_size(), " of them used lately");
    if (!options_.owner.empty()) return context_.Confirm(absl::StrCat("Revoke ", hit, "?"), false);
    const std::string id = request.parent().substr(request.parent().find('/') + 1);
    return context_.ConfirmByName(absl::StrCat("This ends all ", hit, "."), "the workspace's name",
                                  id);
  }

  // A refusal in the words of the flags that were typed.
  absl::Status OfCohort(const absl::Status& asked) {
    const std::string reason = base::ReasonOf(asked);
    if (reason == "COUNT_MISMATCH") return CountMismatch(asked);
    if (reason == "NOTHING_TO_REVOKE") {
      return WithAdvice(asked, "To take that as done: --allow-empty");
    }
    return asked;
  }

  // The service's message names its own fields; this one names the flags that were typed.
  absl::Status CountMismatch(const absl::Status& refused) {
    base::ErrorDetails details = base::DetailsOf(refused);
    int64_t would = -1;
    int64_t expected = -1;
    for (const auto& [name, value] : details.metadata) {
      int64_t* number = name == "token_count"      ? &would
                        : name == "expected_count" ? &expected
                                                   : nullptr;
      if (number != nullptr && !absl::SimpleAtoi(value, number)) return refused;
    }
    if (would < 0 || expected < 0) return refused;
    const std::string hit = absl::StrCat("it would revoke ", Tokens(would));
    for (base::FieldViolation& field : details.fields) field.description = hit;
    return base::Refuse(refused.code(),
                        absl::StrCat(hit, ", and ", expected, expected == 1 ? " was" : " were",
                                     " expected; nothing was revoked. Look again with --dry-run"),
                        details);
  }

  // With --wait, the answer to the change brings a receipt at once, for its epoch: revision and
  // epoch belong together, and no restore can come between. The wait itself is a call of its own,
  // so that a failure of the wait is not mistaken for a failure of the change.
  template <class Request>
  void AskForEpoch(Request* request) {
    if (wait_ > absl::ZeroDuration()) request->mutable_wait_enforced();
  }

  // From here on Ctrl-C ends the wait, where there is one, and leaves no change untold.
  void Begin() {
    if (wait_ > absl::ZeroDuration()) interrupt_.emplace();
  }

  // Reports a change: that it is done; `hit`: what it hit, where that is not plain.
  template <class Response>
  void Tell(const Response& response, const std::string& reason, const std::string& hit) {
    if (!talks()) return;
    if constexpr (requires { response.unchanged(); }) {
      if (response.unchanged()) {
        context_.out() << NoChangeText(response.token(), response.revision(), reason,
                                       context_.now())
                       << std::flush;
        return;
      }
    }
    context_.out() << "revoked      revision " << response.revision()
                   << (hit.empty() ? "" : absl::StrCat("   ", hit)) << '\n'
                   << std::flush;
  }

  // With --wait: waits, and tells how far it is enforced. `token` is the name of the token that was
  // changed; empty for several.
  absl::Status Follow(const std::string& token, absl::Time started, int64_t revision,
                      Receipt* receipt) {
    if (wait_ == absl::ZeroDuration()) return absl::OkStatus();
    WaitGoal goal;
    goal.revision = revision;
    goal.epoch = receipt->epoch();
    goal.token = token;
    goal.holds = options_.wait.holds;
    goal.at_most = wait_;
    goal.started = started;
    if (WaitAfterChange(context_, *interrupt_, goal, "revoked", receipt) == WaitEnd::kDone &&
        talks() && !token.empty()) {
      TellStillTried(token);
    }
    return absl::OkStatus();
  }

  // Tells who has tried the token since. Edges report that every few seconds, so mostly there is
  // nothing to tell yet, and nothing is said; nor where the service cannot be asked, because the
  // revocation is what was asked for.
  void TellStillTried(const std::string& token) {
    tollgate::v1::ListTokenAttemptsRequest request;
    request.set_name(token);
    tollgate::v1::ListTokenAttemptsResponse attempts;
    CallOptions call;
    call.patience = kForTheAnswer;
    if (!context_.Ask(&TokenService::Stub::ListTokenAttempts, request, &attempts, call).ok()) {
      return;
    }
    context_.out() << StillTriedText(attempts, context_.now());
  }

  Context& context_;
  const RevokeOptions& options_;
  const TokenChoice& choice_;
  absl::Duration wait_;
  absl::optional<Interrupt> interrupt_;
};

}  // namespace

void AddTokenRevokeCommand(CLI::App& token, Context& context) {
  auto options = std::make_shared<RevokeOptions>();
  CLI::App* verb = token.add_subcommand(
      "revoke",
      "End tokens: by id, label or condition, all of a workspace or owner, or one that leaked");
  options->choice.AddTo(*verb, /*plain_label=*/true);
  auto* all =
      verb->add_flag("--all", options->all, "All that was issued before now, in one commit");
  verb->add_option("--owner", options->owner, "With --all: only this owner's")->needs(all);
  verb->add_flag("--allow-empty", options->allow_empty,
                 "With --all: no error where there is no live token")
      ->needs(all);
  verb->add_flag("--leaked", options->leaked,
                 "By the token string itself, read from standard input");
  verb->add_option("--edge-digest", options->edge_digest,
                   "By the BLAKE2b-256 of the token string, in hex")
      ->check([](const std::string& hex) {
        const bool good = hex.size() == 64 &&
                          hex.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
        return good ? std::string() : std::string("64 hex digits are wanted");
      });
  verb->add_option("--reason", options->reason, "Kept with the token and in the audit log");
  verb->add_option("--request-id", options->request_id, "Makes a retry safe");
  options->wait.AddTo(*verb);
  verb->callback([&context, options] { context.Fail(Revoker(context, *options).Run()); });
}

}  // namespace tollgate::cli
