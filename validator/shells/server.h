// The edge as one object: everything that main.cc starts. Tests start it too.
#ifndef TOLLGATE_VALIDATOR_SHELLS_SERVER_H_
#define TOLLGATE_VALIDATOR_SHELLS_SERVER_H_

#include <cstdint>
#include <functional>
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
  std::vector<std::string> listen = {"localhost:7413"};
  // Where proxies ask over HTTP (forward-auth), in plaintext; addresses as above. None without a
  // policy.
  std::vector<std::string> http_listen;
  // What requests need, for proxies: a file (docs/policy.md). Empty: no proxy is answered.
  std::string policy;
  // TLS on the TCP listeners for gRPC; mutual with client_ca.
  std::string tls_cert;
  std::string tls_key;
  std::string client_ca;
  // Of a Unix socket that it makes.
  uint32_t socket_mode = 0660;
  // The most connections at once on each listener. 0: as the limit on open files allows,
  // and 512 for HTTP.
  int max_connections = 0;
  // A folder of this validator's own that outlives its process, for the newest proof (R19). It must
  // exist. Empty: a new process proves nothing.
  std::string state_dir;

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
// Health (grpc.health.v1): "liveness" serves from the start. "", "readiness" and the service's name
// serve once the validator has held a lease, and go on serving whatever becomes of the service,
// because a passing loss must not take a fleet out of rotation. `tollgate.lease` serves while the
// lease is live; `tollgate.policy`, known where there is a policy file, while what is in force is
// what that file says.
//
// A stop (Drain) goes in this order: say NOT_SERVING, pause; admit no more, and tell holders that
// all has ended; wait for their answers; answer the calls under way; give up questions; report the
// last use and say goodbye (R4), unless a holder may hold on; close the stream.
class ValidatorServer {
 public:
  // Errors, by reason: BAD_FLAG, VALIDATOR_ID_MALFORMED, ADDRESS_INVALID, TLS_FILES_INVALID;
  // ADDRESS_IN_USE, ADDRESS_DENIED, ADDRESS_UNAVAILABLE; PLAINTEXT_REFUSED; POLICY_UNREADABLE, and
  // what else is wrong with a policy file. A service that cannot be reached is no error: the
  // validator answers UNAVAILABLE until the service is heard. Nothing is left running after an
  // error.
  static absl::StatusOr<std::unique_ptr<ValidatorServer>> Start(ValidatorServerOptions options);
  // Drains without a pause if Drain was not called.
  virtual ~ValidatorServer() = default;

  // The listeners' addresses, with the real ports in place of port 0.
  virtual std::vector<std::string> addresses() const = 0;
  // The same of those for HTTP.
  virtual std::vector<std::string> http_addresses() const = 0;
  // Reads the policy file soon, whether it has changed or not. Never blocks.
  virtual void ReloadPolicy() = 0;
  // The server's metrics, brought up to date when they are read. Must not be read after the
  // server's end.
  virtual std::shared_ptr<prometheus::Registry> registry() const = 0;
  // Says whether a health name is SERVING: for probes over HTTP. Lives on after the server.
  virtual std::function<bool(const std::string& name)> health() const = 0;
  virtual ValidatorStatus status() const = 0;
  virtual DecisionTotals totals() const = 0;

  // Stops: waits `pause` for balancers to notice, then `limit` for calls under way, and at most
  // `limit` again for the goodbye. Idempotent; returns once nothing runs.
  virtual void Drain(absl::Duration pause, absl::Duration limit) = 0;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_SERVER_H_
