// What every command stands on: the terminal, the settings, the connection.
#ifndef TOLLGATE_CLI_CONTEXT_H_
#define TOLLGATE_CLI_CONTEXT_H_

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "cli/output.h"
#include "grpcpp/grpcpp.h"
#include "net/credentials.h"
#include "net/error.h"

namespace tollgate {

// Where the command reads and writes; injected, so that tests need no process.
struct Terminal {
  std::istream* in;
  std::ostream* out;
  std::ostream* err;
  bool in_is_terminal = false;   // may be asked a question
  bool out_is_terminal = false;  // may be shown words around a secret
  const Clock* clock;
};

// What flags, environment and the config file say, in this order of precedence.
struct Settings {
  std::string service = "127.0.0.1:7411";
  std::string edge = "127.0.0.1:7413";
  TlsFiles tls;
  bool allow_plaintext = false;
  std::string output = "table";  // or json
  bool quiet = false;
  std::string timeout = "10s";

  bool json() const { return output == "json"; }
};

// One run of the command. Not thread-safe.
class Context {
 public:
  explicit Context(Terminal terminal) : terminal_(terminal) {}

  std::ostream& out() { return *terminal_.out; }
  std::ostream& err() { return *terminal_.err; }
  std::istream& in() { return *terminal_.in; }
  const Terminal& terminal() const { return terminal_; }
  absl::Time now() const { return terminal_.clock->WallNow(); }
  Settings& settings() { return settings_; }

  // A channel to the service, or to the validator. INVALID_ARGUMENT for an address that is none,
  // or that asks for plaintext over a network.
  absl::StatusOr<std::shared_ptr<grpc::Channel>> ServiceChannel();
  absl::StatusOr<std::shared_ptr<grpc::Channel>> EdgeChannel();

  // One unary call with the deadline of --timeout plus `extra`. An error that says the peer cannot
  // be reached names the address that was tried.
  absl::Status Call(const std::function<grpc::Status(grpc::ClientContext*)>& call,
                    absl::Duration extra = absl::ZeroDuration());

  // Asks a yes-or-no question; true at once with --yes. Without a terminal it is refused, with
  // the way out.
  absl::StatusOr<bool> Confirm(absl::string_view question, bool yes);

  // One line from standard input, without white space around it; at a terminal it is asked for and
  // not echoed. The caller wipes it.
  std::string ReadSecret();

  // How the command ended; the commands' callbacks set it.
  int exit_code = kDone;
  // Prints an error and sets the exit code.
  void Fail(const absl::Status& status);

 private:
  absl::StatusOr<std::shared_ptr<grpc::Channel>> ChannelTo(const std::string& address,
                                                           const char* flag);

  Terminal terminal_;
  Settings settings_;
  std::string tried_;
};

// Runs the command line; returns the exit code. `environment` is read through getenv.
int RunCommand(const std::vector<std::string>& arguments, Terminal terminal);

}  // namespace tollgate

#endif  // TOLLGATE_CLI_CONTEXT_H_
