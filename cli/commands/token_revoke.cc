// Revoke: one token, a cohort, or one that leaked.
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/secret.h"
#include "base/status.h"
#include "cli/commands/token.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "tollgate/v1/operations_service.grpc.pb.h"
#include "tollgate/v1/token_service.grpc.pb.h"

namespace tollgate {
namespace {

using tollgate::v1::OperationsService;
using tollgate::v1::Receipt;
using tollgate::v1::Token;
using tollgate::v1::TokenService;

// Before the first line of progress: a healthy fleet needs milliseconds, and gets no progress.
constexpr absl::Duration kQuickWait = absl::Milliseconds(300);

std::string Tokens(int64_t count) { return absl::StrCat(count, count == 1 ? " token" : " tokens"); }

struct RevokeOptions {
  std::string token, workspace, owner, reason, edge_digest, request_id;
  WaitOptions wait;
  bool all = false, leaked = false, dry_run = false, yes = false;
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
    ASSIGN_OR_RETURN(channel_, context_.ServiceChannel());
    tokens_ = TokenService::NewStub(channel_);
    if (options_.all) return RevokeCohort();
    if (options_.token.empty()) return RevokeLeaked();
    return RevokeOne();
  }

 private:
  bool talks() const { return !context_.settings().json() && !context_.settings().quiet; }

  absl::Status RevokeOne() {
    ASSIGN_OR_RETURN(const std::string name, TokenNameFrom(options_.token, options_.workspace));
    if (!options_.yes) {
      tollgate::v1::GetTokenRequest get;
      get.set_name(name);
      Token token;
      RETURN_IF_ERROR(context_.Call(
          [&](grpc::ClientContext* call) { return tokens_->GetToken(call, get, &token); }));
      std::string used = "never used";
      if (token.has_last_used_time()) {
        used =
            absl::StrCat("last used ", LastUsedText(token, context_.now()), " from ",
                         token.edge_uses_size(), token.edge_uses_size() == 1 ? " edge" : " edges");
      }
      ASSIGN_OR_RETURN(
          const bool yes,
          context_.Confirm(
              absl::StrCat("Revoke \"", SafeForTerminal(token.label()), "\", ", used, "?"), false));
      if (!yes) return Aborted();
    }
    tollgate::v1::RevokeTokenRequest request;
    request.set_name(name);
    request.set_reason(options_.reason);
    request.set_request_id(options_.request_id);
    tollgate::v1::RevokeTokenResponse response;
    const absl::Time started = context_.now();
    RETURN_IF_ERROR(context_.Call(
        [&](grpc::ClientContext* call) { return tokens_->RevokeToken(call, request, &response); }));
    RETURN_IF_ERROR(Wait(response.revision(), name, started, response.mutable_receipt()));
    if (context_.settings().json()) PrintJson(response, context_.out());
    return absl::OkStatus();
  }

  absl::Status RevokeLeaked() {
    tollgate::v1::RevokeLeakedTokenRequest request;
    if (options_.leaked) {
      *request.mutable_token_string() = context_.ReadSecret();
      if (request.token_string().empty())
        return absl::InvalidArgumentError("no token string on standard input");
    } else {
      request.set_edge_digest(absl::HexStringToBytes(options_.edge_digest));
    }
    request.set_reason(options_.reason.empty() ? "leaked" : options_.reason);
    request.set_request_id(options_.request_id);
    tollgate::v1::RevokeLeakedTokenResponse response;
    const absl::Time started = context_.now();
    const absl::Status status = context_.Call([&](grpc::ClientContext* call) {
      return tokens_->RevokeLeakedToken(call, request, &response);
    });
    if (request.has_token_string()) WipeString(request.mutable_token_string());
    RETURN_IF_ERROR(status);
    if (talks()) {
      context_.out() << response.token().name() << "   "
                     << SafeForTerminal(response.token().label()) << '\n';
    }
    RETURN_IF_ERROR(
        Wait(response.revision(), response.token().name(), started, response.mutable_receipt()));
    if (context_.settings().json()) PrintJson(response, context_.out());
    return absl::OkStatus();
  }

  absl::Status RevokeCohort() {
    tollgate::v1::RevokeTokensRequest request;
    ASSIGN_OR_RETURN(*request.mutable_parent(), ParentFrom(options_.workspace));
    request.set_owner(options_.owner);
    request.set_reason(options_.reason);
    const std::string of = options_.owner.empty() ? request.parent()
                                                  : absl::StrCat(SafeForTerminal(options_.owner),
                                                                 " in ", request.parent());
    tollgate::v1::RevokeTokensResponse response;
    if (options_.dry_run || !options_.yes) {
      tollgate::v1::RevokeTokensRequest ask = request;
      ask.set_validate_only(true);
      RETURN_IF_ERROR(context_.Call(
          [&](grpc::ClientContext* call) { return tokens_->RevokeTokens(call, ask, &response); }));
      if (options_.dry_run && context_.settings().json()) {
        PrintJson(response, context_.out());
        return absl::OkStatus();
      }
      std::ostream& where = options_.dry_run ? context_.out() : context_.err();
      if (options_.dry_run) {
        where << "would revoke " << Tokens(response.token_count()) << " of " << of << '\n';
      }
      for (const Token& token : response.recently_used()) {
        where << "  " << token.token_id() << "  " << SafeForTerminal(token.label())
              << ", last used " << LastUsedText(token, context_.now()) << '\n';
      }
      if (options_.dry_run) return absl::OkStatus();
      ASSIGN_OR_RETURN(
          const bool yes,
          context_.Confirm(absl::StrCat("Revoke ", Tokens(response.token_count()), " of ", of, ", ",
                                        response.recently_used_size(), " of them used lately?"),
                           false));
      if (!yes) return Aborted();
      // What the person agreed to is this number and no other.
      request.set_expected_count(response.token_count());
    }
    if (options_.expected >= 0) request.set_expected_count(options_.expected);
    request.set_request_id(options_.request_id);
    response.Clear();
    const absl::Time started = context_.now();
    RETURN_IF_ERROR(context_.Call([&](grpc::ClientContext* call) {
      return tokens_->RevokeTokens(call, request, &response);
    }));
    RETURN_IF_ERROR(Wait(response.revision(), "", started, response.mutable_receipt()));
    if (context_.settings().json()) PrintJson(response, context_.out());
    return absl::OkStatus();
  }

  // Says that it is done, and with --wait how far it has come; sets the exit code.
  // `token`: the one that it was about, by name; empty for a cohort.
  absl::Status Wait(int64_t revision, const std::string& token, absl::Time started,
                    Receipt* receipt) {
    if (talks()) context_.out() << "revoked      revision " << revision << '\n' << std::flush;
    if (wait_ == absl::ZeroDuration()) return absl::OkStatus();
    std::unique_ptr<OperationsService::Stub> operations = OperationsService::NewStub(channel_);
    tollgate::v1::WaitEnforcedRequest request;
    request.set_revision(revision);
    request.set_token(token);
    const absl::Time deadline = started + wait_;
    absl::Duration step = std::min(kQuickWait, wait_);
    while (true) {
      SetDuration(step, request.mutable_timeout());
      receipt->Clear();
      RETURN_IF_ERROR(context_.Call(
          [&](grpc::ClientContext* call) {
            return operations->WaitEnforced(call, request, receipt);
          },
          step));
      const absl::Time now = context_.now();
      const bool enforced = receipt->state() == tollgate::v1::ENFORCEMENT_STATE_ENFORCED;
      if (talks()) context_.out() << ReceiptText(*receipt, now - started) << std::flush;
      if (enforced) {
        if (talks()) context_.out() << LastAdmitText(*receipt);
        return absl::OkStatus();
      }
      if (talks()) context_.out() << WaitingText(*receipt) << std::flush;
      if (now >= deadline) break;
      // As long as the last lease may run, in steps short enough to show that something happens.
      step = std::min(deadline - now, absl::Seconds(5));
    }
    context_.exit_code = kNotYetEnforced;
    context_.err() << "It stays revoked; enforcement goes on. Ask again: tollgate events wait "
                   << revision << '\n';
    return absl::OkStatus();
  }

  absl::Status Aborted() {
    context_.err() << "Nothing was changed.\n";
    context_.exit_code = kAborted;
    return absl::OkStatus();
  }

  Context& context_;
  const RevokeOptions& options_;
  absl::Duration wait_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<TokenService::Stub> tokens_;
};

}  // namespace

void AddTokenRevokeCommand(CLI::App& token, Context& context) {
  auto options = std::make_shared<RevokeOptions>();
  CLI::App* verb = token.add_subcommand(
      "revoke", "End a token, all of a workspace or owner, or one that leaked");
  verb->add_option("token", options->token, "The token's id, or its full name");
  verb->add_option("-w,--workspace", options->workspace, "The workspace")
      ->envname("TOLLGATE_WORKSPACE");
  auto* all =
      verb->add_flag("--all", options->all, "All that was issued before now, in one commit");
  verb->add_option("--owner", options->owner, "With --all: only this owner's")->needs(all);
  verb->add_option("--expect", options->expected,
                   "With --all: refuse unless it hits exactly so many")
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

}  // namespace tollgate
