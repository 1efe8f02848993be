// The edge as one object: everything that main.cc starts, and a test starts too.
#ifndef TOLLGATE_VALIDATOR_SHELLS_SERVER_H_
#define TOLLGATE_VALIDATOR_SHELLS_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"
#include "validator/core/validator.h"
#include "validator/shells/edge_options.h"

namespace prometheus {
class Registry;
}  // namespace prometheus

namespace tollgate::validator {

// All that can be chosen about a sidecar. The defaults are right for production; flags.h gives each
// a flag.
struct ValidatorServerOptions : EdgeOptions {
  // Where callers ask: `host:port`, `[v6]:port` or `unix:/path`. Port 0: any free one. At least
  // one.
  std::vector<std::string> listen = {"127.0.0.1:7413"};
  // TLS on the TCP listeners; with client_ca mutual.
  std::string tls_cert;
  std::string tls_key;
  std::string client_ca;
  // Of a Unix socket that it makes.
  uint32_t socket_mode = 0660;
  // Connections at once, on each listener. 0: as the limit on open files allows.
  int max_connections = 0;

  // Injected; they outlive the server, `random` is thread-safe. nullptr: the machine's.
  const base::Clock* clock = nullptr;
  base::Random* random = nullptr;
};

// The documented exit codes of tollgate-validator.
enum ValidatorExitCode : int {
  kValidatorExitOk = 0,
  kValidatorExitUsage = 2,
  kValidatorExitAddressTaken = 3,
  kValidatorExitStartFailed = 4,
};
// The code for an error of ValidatorServer::Start or of the flags.
int ValidatorExitCodeFor(const absl::Status& status);

// A running validator. Thread-safe.
//
// Health (grpc.health.v1): "liveness" from the start; "", "readiness" and the service's name once
// it has held a lease, and from then on whatever becomes of the service: a passing loss must not
// take a fleet out of rotation; `tollgate.lease` says whether there is a live lease now.
//
// Order of a stop (Drain): NOT_SERVING, pause; no more admissions; the calls under way are
// answered; questions are given up; the last use is reported, goodbye (R4); the stream is closed.
class ValidatorServer {
 public:
  // Errors, by reason: BAD_FLAG, VALIDATOR_ID_MALFORMED, ADDRESS_INVALID, TLS_FILES_INVALID;
  // ADDRESS_IN_USE, ADDRESS_DENIED, ADDRESS_UNAVAILABLE; PLAINTEXT_REFUSED. A service that
  // cannot be reached is no error: it answers UNAVAILABLE until it can. Nothing is left running
  // after an error.
  static absl::StatusOr<std::unique_ptr<ValidatorServer>> Start(ValidatorServerOptions options);
  // Drains without a pause if Drain was not called.
  virtual ~ValidatorServer() = default;

  // Where it listens, with the ports that were found for port 0.
  virtual std::vector<std::string> addresses() const = 0;
  // What it counts, brought up to date when it is read. Not to be read after the server's end.
  virtual std::shared_ptr<prometheus::Registry> registry() const = 0;
  virtual ValidatorStatus status() const = 0;
  virtual DecisionTotals totals() const = 0;

  // Stops: `pause` for balancers to notice, then `limit` for calls under way, and as long again at
  // most for the goodbye. Idempotent; returns once nothing runs.
  virtual void Drain(absl::Duration pause, absl::Duration limit) = 0;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_SERVER_H_
