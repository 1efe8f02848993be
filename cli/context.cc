#include "cli/context.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/secret.h"
#include "base/status.h"
#include "cli/hidden_input.h"
#include "cli/human.h"
#include "net/address.h"
#include "token/secret_file.h"

namespace tollgate::cli {
namespace {

constexpr char kMaybeChanged[] =
    "; a change may have been made all the same: look before you repeat it, or repeat it with the "
    "same --request-id";

// Whether gRPC ends a call so where the peer was not reached, or is another. What this side
// cancelled is not looked into.
bool MayBeUnreached(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::DEADLINE_EXCEEDED ||
         code == grpc::StatusCode::UNIMPLEMENTED || code == grpc::StatusCode::UNKNOWN ||
         code == grpc::StatusCode::INTERNAL;
}

// An address at which something is not as it should be, in the command's frame.
absl::Status Unreached(const net::ReachFault& fault, const std::string& address,
                       const net::ReachWords& words, absl::string_view hedge) {
  const std::string message =
      fault.who.empty()
          ? absl::StrCat("cannot reach ", words.peer, " at ", address, ": ", fault.why,
                         fault.advice.empty() ? "" : ". ", fault.advice, hedge)
          : absl::StrCat(address, " is ", fault.who, ". This command asks ", words.peer,
                         ": usually ", words.usually);
  if (fault.code == absl::StatusCode::kUnavailable) {
    return base::RefuseForNow(fault.reason, message, absl::Seconds(1));
  }
  return base::Refuse(fault.code, fault.reason, message);
}

// An UNAVAILABLE of gRPC's own, where by now nothing is the matter with the address; only gRPC's
// words tell the cases apart.
absl::Status ConnectionTrouble(const std::string& address, const std::string& words, bool sent,
                               absl::string_view hedge) {
  if (!sent) {
    return base::RefuseForNow(
        "NOT_REACHED",
        absl::StrCat("nothing answered at ", address, " (", words, "), and now something does"),
        absl::Seconds(1));
  }
  if (absl::StrContains(words, "Socket closed")) {
    return base::RefuseForNow(
        "CONNECTION_CLOSED",
        absl::StrCat(address, " closed the connection unanswered. It is about to stop, or starting",
                     hedge),
        absl::Seconds(1));
  }
  return base::RefuseForNow("CONNECTION_LOST",
                            absl::StrCat("the connection to ", address,
                                         " was lost before the answer (", words, ")", hedge),
                            absl::Seconds(1));
}

absl::Status NobodyThere(absl::string_view question) {
  return absl::InvalidArgumentError(
      absl::StrCat(question, " Nobody is there to be asked: add --yes"));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const base::SecretBytes>> Context::OperatorToken() const {
  if (settings_.token_file.empty()) return nullptr;
  const token::SecretFile file(settings_.token_file, "--token-file", "TOKEN_FILE",
                               token::SecretReaders::kOwnerAndGroup);
  ASSIGN_OR_RETURN(const base::SecretBytes bytes, file.Read(kMostSecret));
  const absl::string_view token = absl::StripAsciiWhitespace(bytes.RevealSecret());
  const auto is_visible = [](char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); };
  if (token.empty() || !std::all_of(token.begin(), token.end(), is_visible)) {
    return file.Refused("MALFORMED", "it must hold one operator token, on one line");
  }
  return std::make_shared<const base::SecretBytes>(base::SecretBytes::CopyOf(token));
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Context::ChannelTo(
    const std::string& address, net::ReachWords words,
    std::shared_ptr<const base::SecretBytes> token) {
  tried_ = address;
  const std::string flag = words.address_option;  // the words are moved from below
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
  words.address = *parsed;
  words.asker = "this caller";
  words.trust_option = "--tls-ca FILE";
  words.certificate_options = "--tls-cert FILE --tls-key FILE";
  peer_.words = std::move(words);
  peer_.target = {*parsed, settings_.tls, !settings_.tls.empty(), net::ServerIdentity()};
  ASSIGN_OR_RETURN(peer_.credentials, net::ClientCredentialsFor(settings_.tls, peer_.target.use_tls,
                                                                peer_.target.server));
  net::ChannelOptions options;
  // A token that has crossed the network readable must be revoked, so --allow-plaintext is not
  // meant for it.
  if (token != nullptr && settings_.tls.empty() && !parsed->IsLoopback()) {
    return base::Refuse(absl::StatusCode::kInvalidArgument, "TOKEN_IN_PLAINTEXT",
                        absl::StrCat(flag, ": refusing to send the operator token to ", address,
                                     " in plaintext. Give it the other side's authority: --tls-ca "
                                     "FILE; or bring no token: without --token-file, with an empty "
                                     "TOLLGATE_TOKEN_FILE, in a context without one"));
  }
  options.token = std::move(token);
  channel_ = net::MakeChannel(*parsed, peer_.credentials, options);
  return channel_;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Context::ServiceChannel() {
  net::ReachWords words;
  words.peer = "the service";
  words.usually = "localhost:7411 or unix:/run/tollgate/service.sock";
  words.address_option = "--service";
  words.health_name = "tollgate.v1.TokenService";
  words.kin = {{.health_name = "tollgate.v1.ValidationService",
                .reason = "IS_A_VALIDATOR",
                .what = "a validator"}};
  ASSIGN_OR_RETURN(std::shared_ptr<const base::SecretBytes> token, OperatorToken());
  return ChannelTo(settings_.service, std::move(words), std::move(token));
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Context::EdgeChannel() {
  net::ReachWords words;
  words.peer = "a validator";
  words.usually = "localhost:7413 or unix:/run/tollgate/edge.sock";
  words.address_option = "--edge";
  words.health_name = "tollgate.v1.ValidationService";
  words.kin = {{.health_name = "tollgate.v1.TokenService",
                .reason = "IS_THE_SERVICE",
                .what = "the service"}};
  return ChannelTo(settings_.edge, std::move(words));
}

absl::Status Context::Call(const std::function<grpc::Status(grpc::ClientContext*)>& call,
                           const CallOptions& options) {
  ASSIGN_OR_RETURN(const absl::Duration timeout, ParseHumanDuration(settings_.timeout));
  grpc::ClientContext context;
  const absl::Duration patience = options.patience.value_or(timeout + options.extra);
  context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
  if (options.patience.has_value()) context.set_wait_for_ready(true);
  return Explain(call(&context), patience, options);
}

absl::Status Context::Explain(const grpc::Status& status, absl::Duration patience,
                              const CallOptions& options) {
  if (status.ok()) return absl::OkStatus();
  const absl::Status error = net::FromGrpcStatus(status);
  const absl::string_view hedge = options.changes ? kMaybeChanged : "";
  const bool late = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
  if (!status.error_details().empty() && !late) return error;
  // A call that never had a connection was never sent. A wait that its caller repeats looks for
  // nobody.
  const bool connected = channel_ != nullptr && channel_->GetState(false) == GRPC_CHANNEL_READY;
  const bool sent = late ? connected : !net::NeverSent(error);
  net::ReachFault fault;
  if (MayBeUnreached(status.error_code())) {
    if (!options.patience.has_value() && !(late && sent)) fault = net::Diagnose(peer_, error);
  } else if (net::ReachFault http = net::FaultOfAnswer(error, peer_.words);
             http.reason == net::kNotGrpc) {
    fault = std::move(http);
  }
  // Who is there now may not be who had the call.
  const bool passes = fault.code == absl::StatusCode::kUnavailable;
  const bool explains = fault.found() && (!sent || !passes || fault.reason == "CONNECTION_CLOSED");
  if (explains) return Unreached(fault, tried_, peer_.words, sent && passes ? hedge : "");
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      // gRPC's own words for a dead address help nobody at three in the morning.
      return ConnectionTrouble(tried_, status.error_message(), sent, hedge);
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return base::Refuse(
          absl::StatusCode::kDeadlineExceeded, "NO_ANSWER_IN_TIME",
          absl::StrCat("no answer from ", tried_, " within ", HumanElapsed(patience), hedge));
    case grpc::StatusCode::CANCELLED:
      return base::RefuseForNow(
          "CALL_CANCELLED",
          absl::StrCat(tried_, " gave the call up, as a server does that is stopping", hedge),
          absl::Seconds(1));
    default:
      return error;
  }
}

absl::StatusOr<bool> Context::Confirm(absl::string_view question, bool yes) {
  if (yes) return true;
  if (!terminal_.in_is_terminal) return NobodyThere(question);
  err() << question << "  [y/N] " << std::flush;
  std::string answer;
  std::getline(in(), answer);
  answer = absl::AsciiStrToLower(absl::StripAsciiWhitespace(answer));
  return answer == "y" || answer == "yes";
}

absl::StatusOr<bool> Context::ConfirmByName(absl::string_view what, absl::string_view whose,
                                            absl::string_view name) {
  if (!terminal_.in_is_terminal) return NobodyThere(what);
  err() << what << "\nType " << whose << " to go on:  " << std::flush;
  std::string answer;
  std::getline(in(), answer);
  return absl::StripAsciiWhitespace(answer) == name;
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

void Context::ShowTable(const Table& table) { TellLeftOut(table.Print(raw_out(), screen())); }

void Context::TellLeftOut(const std::vector<std::string>& columns) {
  if (columns.empty() || settings_.quiet) return;
  err() << "Without " << absl::StrJoin(columns, ", ") << ", for want of room: -o wide\n";
}

absl::Status Context::CheckForm(const CLI::App* verb, bool typed) {
  if (settings_.output == "table" || settings_.json()) return absl::OkStatus();
  const auto found = forms_.find(verb);
  if (found != forms_.end() && found->second.count(settings_.output) > 0) return absl::OkStatus();
  const std::string asked = std::exchange(settings_.output, "table");
  if (!typed) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "this command's answer does not come as '", asked, "'; -o takes ",
      found == forms_.end() ? "" : absl::StrCat(absl::StrJoin(found->second, ", "), ", "),
      "table and json here"));
}

void Context::Fail(const absl::Status& status) {
  if (status.ok()) return;
  exit_code = ExitCodeFor(status);
  Say(status);
}

void Context::TellNothingChanged() {
  exit_code = kAborted;
  if (settings_.json()) {
    Say(base::Refuse(absl::StatusCode::kCancelled, "NOT_CONFIRMED", "nothing was changed"));
  } else {
    err() << "Nothing was changed.\n";
  }
}

void Context::Say(const absl::Status& status) {
  if (settings_.json()) {
    PrintErrorJson(status, err());
  } else {
    PrintError(flags_ == nullptr ? status : flags_->InFlags(status), err());
  }
}

}  // namespace tollgate::cli
