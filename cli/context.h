// What every command uses: the terminal, the settings, the connection.
#ifndef TOLLGATE_CLI_CONTEXT_H_
#define TOLLGATE_CLI_CONTEXT_H_

#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/status.h"
#include "cli/flag_names.h"
#include "cli/output.h"
#include "cli/safe_stream.h"
#include "cli/table.h"
#include "grpcpp/grpcpp.h"
#include "net/credentials.h"
#include "net/diagnosis.h"
#include "net/error.h"

namespace CLI {
class App;
}  // namespace CLI

namespace tollgate::cli {

// The streams that the command reads and writes; injected, so that tests need no process.
struct Terminal {
  std::istream* in;
  std::ostream* out;
  std::ostream* err;
  bool in_is_terminal = false;   // may be asked questions
  bool out_is_terminal = false;  // may show words around a secret
  const base::Clock* clock;
  size_t columns = 0;    // of the terminal that `out` is; 0: it is none, or does not say
  bool colours = false;  // `out` is a terminal that shows them, and its user wants them
  bool err_is_terminal = false;
  size_t err_columns = 0;  // as `columns`, of `err`
};

// The settings from flags, environment and config file, in this order of precedence.
struct Settings {
  std::string service = "localhost:7411";
  std::string context;  // whose settings were read; only for help: the words are looked at before
  std::string edge = "localhost:7413";
  std::string token_file;  // the operator token's; empty: none is brought
  net::TlsFiles tls;
  bool allow_plaintext = false;
  std::string output = "table";  // or wide, name, csv, json
  std::string colour = "auto";   // or always, never
  bool quiet = false;
  std::string timeout = "10s";
  // The command's words name the workspace that it is about (-w); the usual one, of the environment
  // or the settings' file, gives way to a full name.
  bool workspace_typed = false;

  bool json() const { return output == "json"; }
  bool wide() const { return output == "wide"; }
  bool names() const { return output == "name"; }
  bool csv() const { return output == "csv"; }
};

// How one call is made.
struct CallOptions {
  // Implicit, because many calls only add to the deadline.
  CallOptions(absl::Duration extra = absl::ZeroDuration()) : extra(extra) {}  // NOLINT

  absl::Duration extra;  // beyond --timeout
  // Set: this is the deadline, whatever --timeout says, and a peer that is not there is waited for.
  absl::optional<absl::Duration> patience;
  // Whether the call changes something. Ask sets it; callers of Call say it.
  bool changes = false;
};

// Whether a request asks for a change: exactly the requests that can have a request id do.
template <class Request>
bool ChangesSomething(const Request& request) {
  if constexpr (requires { request.validate_only(); }) {
    if (request.validate_only()) return false;
  }
  return requires { request.request_id(); };
}

// One run of the command. Not thread-safe.
class Context {
 public:
  explicit Context(Terminal terminal)
      : terminal_(terminal),
        out_(terminal.out, SafeStream::Secrets::kPass),
        err_(terminal.err, SafeStream::Secrets::kRedact) {}

  // Streams for words. Nothing printed on them can drive a terminal, and nothing printed on `err`
  // reveals a token string.
  std::ostream& out() { return out_; }
  std::ostream& err() { return err_; }
  // Standard output itself: for JSON, which escapes whatever a terminal would obey, and for the
  // terminal's own sequences.
  std::ostream& raw_out() {
    out_.flush();
    return *terminal_.out;
  }
  // Prints the answer as JSON (ShowJsonLine: on one line, for streams). INTERNAL (ANSWER_NOT_JSON):
  // the answer has no JSON.
  absl::Status ShowJson(const google::protobuf::Message& message, const JsonMembers& more = {}) {
    return PrintJson(message, raw_out(), more);
  }
  absl::Status ShowJsonLine(const google::protobuf::Message& message) {
    return PrintJsonLine(message, raw_out());
  }
  std::istream& in() { return *terminal_.in; }
  const Terminal& terminal() const { return terminal_; }
  absl::Time now() const { return terminal_.clock->WallNow(); }
  Settings& settings() { return settings_; }

  // Where tables are shown: as wide as the terminal, or, elsewhere and with -o wide, as they like.
  Screen screen() const {
    return {settings_.wide() ? 0 : terminal_.columns,
            settings_.colour == "always" || (settings_.colour == "auto" && terminal_.colours)};
  }
  // Prints a table for people, and says on `err` which columns had no room.
  void ShowTable(const Table& table);
  // Says on `err` which columns of a table had no room: none of these, nothing.
  void TellLeftOut(const std::vector<std::string>& columns);

  // The verb's answer also comes in these forms: of "wide", "name", "csv". Every other has a table
  // and JSON.
  void AlsoPrints(const CLI::App* verb, std::set<std::string> forms) {
    forms_[verb] = std::move(forms);
  }
  // INVALID_ARGUMENT: the verb has no such form, and it was asked for (`typed`); where it is only
  // the usual one, of the environment or the settings' file, the verb's table takes its place.
  absl::Status CheckForm(const CLI::App* verb, bool typed);

  // A channel to the service, or to the validator. INVALID_ARGUMENT: the address is malformed, or
  // asks for plaintext over a network.
  absl::StatusOr<std::shared_ptr<grpc::Channel>> ServiceChannel();
  absl::StatusOr<std::shared_ptr<grpc::Channel>> EdgeChannel();

  // Makes one unary call with the deadline of --timeout plus `extra`, and Explain()s its end.
  absl::Status Call(const std::function<grpc::Status(grpc::ClientContext*)>& call,
                    const CallOptions& options = CallOptions());
  // How a call ended that had so long (InfiniteDuration: no deadline), on the channel made last. An
  // error of the peer's is as it came. Where the transport failed, or somebody else answered, the
  // error says what is found at that address now (net/diagnosis.h; that takes a second at most). An
  // error that came when the peer may have had the call says that a change may have been made.
  absl::Status Explain(const grpc::Status& status, absl::Duration patience,
                       const CallOptions& options = CallOptions());

  // The channel to the service that the whole command uses. Errors as above.
  absl::StatusOr<std::shared_ptr<grpc::Channel>> AskedChannel() {
    if (asked_ == nullptr) {
      ASSIGN_OR_RETURN(asked_, ServiceChannel());
    }
    return asked_;
  }

  // Makes one call to the service, on that channel.
  //   RETURN_IF_ERROR(context.Ask(&TokenService::Stub::GetToken, request, &token));
  template <class Stub, class Request, class Response>
  absl::Status Ask(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                   const Request& request, Response* response,
                   CallOptions options = CallOptions()) {
    RETURN_IF_ERROR(AskedChannel().status());
    Stub stub(asked_);
    options.changes = ChangesSomething(request);
    return Call([&](grpc::ClientContext* call) { return (stub.*method)(call, request, response); },
                options);
  }

  // Asks a yes-or-no question; true at once with --yes. Without a terminal it refuses, and says to
  // use --yes.
  absl::StatusOr<bool> Confirm(absl::string_view question, bool yes);

  // Says what would happen, and asks for a name to be typed; true where it was. Without a terminal
  // it refuses, and says to use --yes.
  absl::StatusOr<bool> ConfirmByName(absl::string_view what, absl::string_view whose,
                                     absl::string_view name);

  // Reads one line from standard input, without the white space around it; at a terminal it asks,
  // and does not echo. Reads at most kMostSecret characters of the line, which is longer than any
  // token string.
  base::SecretBytes ReadSecret();
  static constexpr size_t kMostSecret = 1024;

  // From here on errors name the flags that were typed. `flags` outlives this object.
  void NameFlags(const FlagNames* flags) { flags_ = flags; }

  // The command's exit code; the commands' callbacks set it.
  int exit_code = kDone;
  // Prints an error and sets the exit code.
  void Fail(const absl::Status& status);
  // The person said no: says that nothing was changed, and sets the exit code.
  void TellNothingChanged();
  // Only prints an error; with -o json as one JSON object, so that programs can read all of stderr.
  void Say(const absl::Status& status);

 private:
  absl::StatusOr<std::shared_ptr<grpc::Channel>> ChannelTo(
      const std::string& address, net::ReachWords words,
      std::shared_ptr<const base::SecretBytes> token = nullptr);
  // The operator token of the settings; null: none is named. FAILED_PRECONDITION:
  // TOKEN_FILE_UNREADABLE, …
  absl::StatusOr<std::shared_ptr<const base::SecretBytes>> OperatorToken() const;

  Terminal terminal_;
  SafeStream out_;
  SafeStream err_;
  Settings settings_;
  const FlagNames* flags_ = nullptr;
  std::map<const CLI::App*, std::set<std::string>> forms_;
  // Of the channel made last.
  std::string tried_;
  net::Peer peer_;
  std::shared_ptr<grpc::Channel> channel_;
  std::shared_ptr<grpc::Channel> asked_;  // the channel that Ask uses
};

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_CONTEXT_H_
