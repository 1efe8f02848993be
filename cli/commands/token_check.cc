// Check: asks a validator what it would tell a service.
#include <iostream>
#include <memory>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/secret.h"
#include "base/status.h"
#include "cli/commands/token.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "nlohmann/json.hpp"
#include "tollgate/v1/validation_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::ValidationService;

struct CheckOptions {
  std::vector<std::string> scopes, all_scopes;
  std::string audience;
  int repeat = 1;
};

absl::Status Check(Context& context, const CheckOptions& options) {
  tollgate::v1::ValidateRequest request;
  const absl::Cleanup wipe = [&request] { base::WipeString(request.mutable_token_string()); };
  {
    const base::SecretBytes secret = context.ReadSecret();
    request.set_token_string(secret.RevealSecret().data(), secret.size());
  }
  if (request.token_string().empty())
    return absl::InvalidArgumentError("no token string on standard input");
  for (const std::string& scope : options.scopes)
    request.mutable_requirement()->add_any_scopes(scope);
  for (const std::string& scope : options.all_scopes)
    request.mutable_requirement()->add_all_scopes(scope);
  request.mutable_requirement()->set_audience(options.audience);

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
    const nlohmann::json answer = {
        {"verdict", admitted ? "admit"
                    : denied ? "deny"
                             : "unavailable"},
        {"reason", tollgate::v1::VerdictReason_Name(response.reason())},
        {"description", response.description()},
        {"token", response.identity().token()},
        {"owner", response.identity().owner()},
        {"elapsed_ms", times},
    };
    context.out() << answer.dump(2, ' ', true, nlohmann::json::error_handler_t::replace) << '\n';
    return absl::OkStatus();
  }
  if (context.settings().quiet) return absl::OkStatus();
  context.out() << (admitted ? "admitted" : denied ? "refused" : "unavailable");
  if (!response.description().empty())
    context.out() << "     " << SafeForTerminal(response.description());
  if (admitted) context.out() << "     " << SafeForTerminal(response.identity().token());
  context.out() << "   " << HumanElapsed(took) << '\n';
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
      "check", "Ask a validator (--edge) about a token string, read from standard input");
  verb->add_option("--scope", options->scopes, "Any of these is needed; repeatable");
  verb->add_option("--all-scopes", options->all_scopes, "All of these are needed; repeatable");
  verb->add_option("--audience", options->audience, "The service that is asked for");
  verb->add_option("--repeat", options->repeat, "Ask so often; the last answer counts")
      ->check(CLI::Range(1, 1000000));
  verb->callback([&context, options] { context.Fail(Check(context, *options)); });
}

}  // namespace tollgate::cli
