#include "cli/context.h"

#include <unistd.h>

#include <iostream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/secret.h"
#include "base/status.h"
#include "cli/hidden_input.h"
#include "cli/human.h"
#include "net/address.h"

namespace tollgate::cli {
namespace {

constexpr char kMaybeChanged[] =
    "; a change may have been made all the same: look before you repeat it, or repeat it with the "
    "same --request-id";

// What an UNAVAILABLE of gRPC's own means; only its words tell the cases apart.
absl::Status ConnectionTrouble(const std::string& address, const std::string& words, bool changes) {
  if (absl::StrContains(words, "certificate verify failed")) {
    return base::Refuse(
        absl::StatusCode::kFailedPrecondition, "PEER_NOT_TRUSTED",
        absl::StrCat("the certificate at ", address,
                     " is not signed by the authority given. Is this the right address? "
                     "--tls-ca says whose signature is trusted"));
  }
  if (absl::StrContains(words, "Tls handshake failed") ||
      absl::StrContains(words, "verification check failed")) {
    return base::Refuse(
        absl::StatusCode::kFailedPrecondition, "TLS_FAILED",
        absl::StrCat("no TLS connection to ", address, " (", words,
                     "). Does it speak TLS, and is its certificate for this address?"));
  }
  if (absl::StrContains(words, "Socket closed")) {
    return base::RefuseForNow(
        "CONNECTION_CLOSED",
        absl::StrCat(address,
                     " closed the connection unanswered. It is about to stop, or wants TLS, or a "
                     "client certificate that it can verify: --tls-ca FILE --tls-cert FILE "
                     "--tls-key FILE",
                     changes ? kMaybeChanged : ""),
        absl::Seconds(1));
  }
  // Only these words prove that the call never reached the peer.
  if (absl::StrContains(words, "failed to connect") ||
      absl::StrContains(words, "resolution failed") || absl::StrContains(words, "DNS")) {
    return base::RefuseForNow(
        "NOT_REACHED",
        absl::StrCat("nothing answers at ", address, " (", words,
                     "). Is it running there? --service and --edge say where to look"),
        absl::Seconds(1));
  }
  return base::RefuseForNow(
      "CONNECTION_LOST",
      absl::StrCat("the connection to ", address, " was lost before the answer (", words, ")",
                   changes ? kMaybeChanged : ""),
      absl::Seconds(1));
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> Context::ChannelTo(const std::string& address,
                                                                  const char* flag) {
  tried_ = address;
  absl::StatusOr<net::Address> parsed = net::ParseAddress(address);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(flag, ": ", parsed.status().message()));
  }
  if (!settings_.allow_plaintext && settings_.tls.empty() && !parsed->IsLoopback()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": refusing to speak plaintext to ", address,
                     ": tokens would cross the network readable.\n"
                     "  Give it the other side's authority: --tls-ca FILE (with --tls-cert FILE "
                     "--tls-key FILE where it asks who "
                     "calls)\n  or, knowing the risk: --allow-plaintext"));
  }
  ASSIGN_OR_RETURN(
      std::shared_ptr<grpc::ChannelCredentials> credentials,
      net::ClientCredentialsFor(settings_.tls, !settings_.tls.empty(), net::ServerIdentity()));
  return net::MakeChannel(*parsed, credentials);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Context::ServiceChannel() {
  return ChannelTo(settings_.service, "--service");
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Context::EdgeChannel() {
  return ChannelTo(settings_.edge, "--edge");
}

absl::Status Context::Call(const std::function<grpc::Status(grpc::ClientContext*)>& call,
                           const CallOptions& options) {
  ASSIGN_OR_RETURN(const absl::Duration timeout, ParseHumanDuration(settings_.timeout));
  grpc::ClientContext context;
  const absl::Duration patience = options.patience.value_or(timeout + options.extra);
  context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
  if (options.patience.has_value()) context.set_wait_for_ready(true);
  const grpc::Status status = call(&context);
  if (status.ok()) return absl::OkStatus();
  absl::Status error = net::FromGrpcStatus(status);
  // gRPC's own words for a dead address help nobody at three in the morning.
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE && status.error_details().empty()) {
    return ConnectionTrouble(tried_, status.error_message(), options.changes);
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return base::Refuse(absl::StatusCode::kDeadlineExceeded, "NO_ANSWER_IN_TIME",
                        absl::StrCat("no answer from ", tried_, " within ", HumanElapsed(patience),
                                     options.changes ? kMaybeChanged : ""));
  }
  return error;
}

absl::StatusOr<bool> Context::Confirm(absl::string_view question, bool yes) {
  if (yes) return true;
  if (!terminal_.in_is_terminal) {
    return absl::InvalidArgumentError(
        absl::StrCat(question, " Nobody is there to be asked: add --yes"));
  }
  err() << question << "  [y/N] " << std::flush;
  std::string answer;
  std::getline(in(), answer);
  answer = absl::AsciiStrToLower(absl::StripAsciiWhitespace(answer));
  return answer == "y" || answer == "yes";
}

base::SecretBytes Context::ReadSecret() {
  std::string line;
  // Reserved at once, so that the string never moves and leaves a copy behind.
  line.reserve(kMostSecret);
  {
    absl::optional<HiddenInput> hidden;
    if (terminal_.in_is_terminal) {
      hidden.emplace(STDIN_FILENO);
      err() << "Paste the token, then Enter: " << std::flush;
    }
    for (char c; in().get(c) && c != '\n';) {
      if (line.size() < kMostSecret) line.push_back(c);
    }
    if (hidden.has_value() && hidden->hides()) err() << '\n';
  }
  base::SecretBytes secret = base::SecretBytes::CopyOf(absl::StripAsciiWhitespace(line));
  base::WipeString(&line);
  return secret;
}

void Context::Fail(const absl::Status& status) {
  if (status.ok()) return;
  exit_code = ExitCodeFor(status);
  Say(status);
}

void Context::Say(const absl::Status& status) {
  if (settings_.json()) {
    PrintErrorJson(status, err());
  } else {
    PrintError(status, err());
  }
}

}  // namespace tollgate::cli
