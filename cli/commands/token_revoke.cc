// Revoke: one token, a cohort, or one that leaked.
#include <algorithm>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/proto_time.h"
#include "base/secret.h"
#include "base/status.h"
#include "cli/commands/token.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "token/digest.h"
#include "token/pasted_text.h"
#include "token/token_string.h"
#include "tollgate/v1/operations_service.grpc.pb.h"
#include "tollgate/v1/token_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::OperationsService;
using tollgate::v1::Receipt;
using tollgate::v1::Token;
using tollgate::v1::TokenService;

// The wait before the first line of progress: a healthy fleet needs only milliseconds, and then
// shows no progress.
constexpr absl::Duration kQuickWait = absl::Milliseconds(300);
// Extra time for the answer to arrive after a wait has ended.
constexpr absl::Duration kForTheAnswer = absl::Seconds(2);
// The pause between two questions to a service that is away.
constexpr absl::Duration kBeforeAsking = absl::Milliseconds(200);

std::string Tokens(int64_t count) { return absl::StrCat(count, count == 1 ? " token" : " tokens"); }

struct RevokeOptions {
  std::string token, workspace, owner, reason, edge_digest, request_id;
  WaitOptions wait;
  bool all = false, leaked = false, dry_run = false, yes = false, allow_empty = false;
  int64_t expected = -1;
};

class Revoker {
 public:
  Revoker(Context& context, const RevokeOptions& options) : context_(context), options_(options) {}

  absl::Status Run() {
    const int kinds = (options_.token.empty() ? 0 : 1) + (options_.all ? 1 : 0) +
                      (options_.leaked || !options_.edge_digest.empty() ? 1 : 0);
    if (kinds != 1) {
      return absl::InvalidArgumentError(
          "say what to revoke: a token's id, or --all [--owner OWNER], or --leaked (the token "
          "string on "
          "standard input), or --edge-digest HEX");
    }
    ASSIGN_OR_RETURN(wait_, options_.wait.Parse());
    if (options_.all) return RevokeCohort();
    if (options_.token.empty()) return RevokeLeaked();
    return RevokeOne();
  }

 private:
  bool talks() const { return !context_.settings().json() && !context_.settings().quiet; }

  absl::Status RevokeOne() {
    ASSIGN_OR_RETURN(const std::string name, TokenNameFrom(options_.token, options_.workspace,
                                                           context_.settings().workspace_typed));
    if (!options_.yes) {
      tollgate::v1::GetTokenRequest get;
      get.set_name(name);
      Token token;
      RETURN_IF_ERROR(context_.Ask(&TokenService::Stub::GetToken, get, &token));
      ASSIGN_OR_RETURN(const bool yes,
                       context_.Confirm(absl::StrCat("Revoke ", LabelAndUse(token), "?"), false));
      if (!yes) return Aborted();
    }
    tollgate::v1::RevokeTokenRequest request;
    request.set_name(name);
    request.set_reason(options_.reason);
    request.set_request_id(options_.request_id);
    AskForEpoch(&request);
    tollgate::v1::RevokeTokenResponse response;
    const absl::Time started = context_.now();
    RETURN_IF_ERROR(context_.Ask(&TokenService::Stub::RevokeToken, request, &response));
    return Follow(name, request.reason(), started, &response);
  }

  // "\"CI deploy key\", last used 2 min ago from 2 edges"
  std::string LabelAndUse(const Token& token) {
    std::string used = "never used";
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
    if (options_.workspace.empty()) {
      return absl::StrCat("the token ", public_id,
                          " (with -w WORKSPACE its label and last use are told here)");
    }
    tollgate::v1::GetTokenRequest get;
    const absl::StatusOr<std::string> name =
        TokenNameFrom(public_id, options_.workspace, context_.settings().workspace_typed);
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
            ? absl::StrCat(", which is none of ", SafeForTerminal(options_.workspace))
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
    if (!options_.yes) {
      // Nothing can be known of a digest before it is revoked.
      const std::string what =
          options_.leaked
              ? WhatLeaked(public_id)
              : absl::StrCat("the token with the digest ", options_.edge_digest.substr(0, 12), "…");
      ASSIGN_OR_RETURN(const bool yes, context_.Confirm(absl::StrCat("Revoke ", what, "?"), false));
      if (!yes) return Aborted();
    }
    request.set_reason(options_.reason.empty() ? "leaked" : options_.reason);
    request.set_request_id(options_.request_id);
    AskForEpoch(&request);
    tollgate::v1::RevokeLeakedTokenResponse response;
    const absl::Time started = context_.now();
    RETURN_IF_ERROR(context_.Ask(&TokenService::Stub::RevokeLeakedToken, request, &response));
    if (talks()) {
      context_.out() << SafeForTerminal(response.token().name()) << "   "
                     << SafeForTerminal(response.token().label()) << '\n';
    }
    return Follow(response.token().name(), request.reason(), started, &response);
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
    ASSIGN_OR_RETURN(*request.mutable_parent(), ParentFrom(options_.workspace));
    request.set_owner(options_.owner);
    request.set_reason(options_.reason);
    request.set_allow_empty(options_.allow_empty);
    const std::string of = options_.owner.empty() ? request.parent()
                                                  : absl::StrCat(SafeForTerminal(options_.owner),
                                                                 " in ", request.parent());
    tollgate::v1::RevokeTokensResponse response;
    if (options_.dry_run || !options_.yes) {
      tollgate::v1::RevokeTokensRequest ask = request;
      ask.set_validate_only(true);
      ask.set_request_id(options_.request_id);
      RETURN_IF_ERROR(OfCohort(context_.Ask(&TokenService::Stub::RevokeTokens, ask, &response)));
      if (options_.dry_run && context_.settings().json()) {
        RETURN_IF_ERROR(context_.ShowJson(response));
        return absl::OkStatus();
      }
      if (options_.dry_run) {
        TellCohort(context_.out(), response, of);
        return absl::OkStatus();
      }
      if (response.revision() == 0) {
        ASSIGN_OR_RETURN(const bool yes, AgreeTo(request, response, of));
        if (!yes) return Aborted();
        // The person has agreed to exactly this number.
        request.set_expected_count(response.token_count());
      }
    }
    if (options_.expected >= 0) request.set_expected_count(options_.expected);
    request.set_request_id(options_.request_id);
    AskForEpoch(&request);
    response.Clear();
    const absl::Time started = context_.now();
    const absl::Status asked = context_.Ask(&TokenService::Stub::RevokeTokens, request, &response);
    RETURN_IF_ERROR(OfCohort(asked));
    return Follow("", request.reason(), started, &response,
                  absl::StrCat(Tokens(response.token_count()), " of ", of));
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

  // Reports a change: that it is done, with --wait how far it is enforced, and the answer as JSON.
  // `token` is the name of the token that was changed, for `reason`; empty for a cohort, which
  // `hit` describes.
  template <class Response>
  absl::Status Follow(const std::string& token, const std::string& reason, absl::Time started,
                      Response* response, const std::string& hit = "") {
    bool unchanged = false;
    if constexpr (requires { response->unchanged(); }) {
      unchanged = response->unchanged();
      if (talks() && unchanged) {
        context_.out() << NoChangeText(response->token(), response->revision(), reason,
                                       context_.now())
                       << std::flush;
      }
    }
    if (talks() && !unchanged) {
      context_.out() << "revoked      revision " << response->revision()
                     << (hit.empty() ? "" : absl::StrCat("   ", hit)) << '\n'
                     << std::flush;
    }
    if (wait_ > absl::ZeroDuration()) {
      Wait(response->revision(), token, started, response->mutable_receipt());
    }
    if (context_.settings().json()) return context_.ShowJson(*response);
    return absl::OkStatus();
  }

  // Waits until the revision is enforced, with --wait-holds until no hold is open that it put in
  // doubt, or --wait-timeout has passed. The change is already made:
  // any error here is reported, and ends with kNotYetEnforced, which no script takes for "not
  // revoked". A service that is away for a moment is asked again.
  void Wait(int64_t revision, const std::string& token, absl::Time started, Receipt* receipt) {
    tollgate::v1::WaitEnforcedRequest request;
    request.set_revision(revision);
    request.set_epoch(receipt->epoch());
    request.set_token(token);
    const absl::Time deadline = started + wait_;
    absl::Duration step = std::min(kQuickWait, wait_);
    absl::Status asked;
    bool said_away = false;
    bool enforced = false;
    while (true) {
      *request.mutable_timeout() = base::ToProto(step);
      Receipt newest;
      CallOptions call;
      call.patience = step + kForTheAnswer;
      asked = context_.Ask(&OperationsService::Stub::WaitEnforced, request, &newest, call);
      const absl::Time now = context_.now();
      if (asked.ok()) {
        *receipt = std::move(newest);
        // A revision means something only with its epoch (R17): after a restore in between, this
        // number belongs to another change, and the service says so.
        if (request.epoch().empty()) request.set_epoch(receipt->epoch());
        if (talks() && !enforced) {
          context_.out() << ReceiptText(*receipt, now - started) << std::flush;
        }
        enforced = receipt->state() == tollgate::v1::ENFORCEMENT_STATE_ENFORCED;
        if (enforced && !(options_.wait.holds && receipt->holds_open() > 0)) {
          if (talks()) {
            context_.out() << HoldsText(*receipt, options_.wait.holds
                                                      ? absl::make_optional(now - started)
                                                      : absl::nullopt)
                           << LastAdmitText(*receipt);
            if (!token.empty()) TellStillTried(token);
          }
          return;
        }
        // The holds are waited for apart, so that the line before tells when it was enforced.
        if (talks() && (!enforced || request.holds() || now >= deadline)) {
          context_.out() << (enforced ? HoldsText(*receipt, now - started) : WaitingText(*receipt))
                         << std::flush;
        }
        if (enforced && !request.holds() && now < deadline) {
          request.set_holds(true);
          step = std::min(kQuickWait, deadline - now);
          continue;
        }
      } else if (!absl::IsUnavailable(asked) && !absl::IsDeadlineExceeded(asked) &&
                 !absl::IsCancelled(asked)) {  // what a server that stops does to a call in it
        break;
      } else if (now < deadline) {
        if (talks() && !said_away) {
          context_.out() << "waiting      no answer from the service; asking again\n" << std::flush;
        }
        said_away = true;
        absl::SleepFor(std::min(kBeforeAsking, deadline - now));
      }
      if (now >= deadline) break;
      // As long as the last lease may run, in steps short enough to show progress.
      step = std::min(deadline - now, absl::Seconds(5));
    }
    if (asked.ok() && enforced) {
      TellHoldsOpen(revision, request.epoch());
    } else {
      TellNotEnforced(asked, revision, request.epoch());
    }
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

  // Reports how the wait ended, and what to do, in one error, so that it is one object with -o
  // json.
  void TellNotEnforced(const absl::Status& asked, int64_t revision, const std::string& epoch) {
    const std::string advice =
        base::ReasonOf(asked) == "OTHER_EPOCH"
            ? absl::StrCat("It was revoked, in revision ", revision, " of epoch ",
                           SafeForTerminal(epoch),
                           ", and the store was put back since: look whether it still is.")
            : absl::StrCat(
                  "It stays revoked; enforcement goes on. Ask again: tollgate events wait ",
                  revision, epoch.empty() ? "" : absl::StrCat(" --epoch ", SafeForTerminal(epoch)));
    if (!asked.ok()) {
      context_.Say(WithAdvice(asked, advice));
    } else if (context_.settings().json()) {
      context_.Say(base::Refuse(absl::StatusCode::kDeadlineExceeded, "NOT_YET_ENFORCED", advice));
    } else {
      context_.err() << advice << '\n';
    }
    context_.exit_code = kNotYetEnforced;
  }

  void TellHoldsOpen(int64_t revision, const std::string& epoch) {
    const std::string advice = absl::StrCat(
        "It is revoked, and enforced; what it held open is not closed everywhere. Ask again: "
        "tollgate events wait --holds ",
        revision, epoch.empty() ? "" : absl::StrCat(" --epoch ", SafeForTerminal(epoch)));
    if (context_.settings().json()) {
      context_.Say(base::Refuse(absl::StatusCode::kDeadlineExceeded, "HOLDS_STILL_OPEN", advice));
    } else {
      context_.err() << advice << '\n';
    }
    context_.exit_code = kNotYetEnforced;
  }

  absl::Status Aborted() {
    if (context_.settings().json()) {
      context_.Say(
          base::Refuse(absl::StatusCode::kCancelled, "NOT_CONFIRMED", "nothing was changed"));
    } else {
      context_.err() << "Nothing was changed.\n";
    }
    context_.exit_code = kAborted;
    return absl::OkStatus();
  }

  Context& context_;
  const RevokeOptions& options_;
  absl::Duration wait_;
};

}  // namespace

void AddTokenRevokeCommand(CLI::App& token, Context& context) {
  auto options = std::make_shared<RevokeOptions>();
  CLI::App* verb = token.add_subcommand(
      "revoke", "End a token, all of a workspace or owner, or one that leaked");
  verb->add_option("token", options->token, "The token's id, or its full name");
  AddWorkspaceOption(*verb, &options->workspace);
  auto* all =
      verb->add_flag("--all", options->all, "All that was issued before now, in one commit");
  verb->add_option("--owner", options->owner, "With --all: only this owner's")->needs(all);
  verb->add_option("--expect", options->expected,
                   "With --all: refuse unless it hits exactly so many")
      ->check(CLI::NonNegativeNumber)
      ->needs(all);
  verb->add_flag("--allow-empty", options->allow_empty,
                 "With --all: no error where there is no live token")
      ->needs(all);
  verb->add_flag("--dry-run", options->dry_run, "With --all: only say what it would hit")
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
  verb->add_flag("-y,--yes", options->yes, "Do not ask");
  verb->add_option("--request-id", options->request_id, "Makes a retry safe");
  options->wait.AddTo(*verb);
  verb->callback([&context, options] { context.Fail(Revoker(context, *options).Run()); });
}

}  // namespace tollgate::cli
