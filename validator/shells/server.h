// The edge as one object: everything that main.cc starts. Tests start it too.
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
#include "tollgate/v1/edge_service.pb.h"
#include "validator/core/validator.h"

namespace prometheus {
class Registry;
}  // namespace prometheus

namespace tollgate::validator {

// All options. The defaults are right for production; flags.h gives each a flag.
struct ValidatorServerOptions {
  // The validator's id, stable over restarts, as in `payments/edge-3`. Required.
  std::string id;
  // The service's address: `host:port` or `unix:/path`. The service need not answer yet.
  std::string service = "127.0.0.1:7411";
  // TLS to the service: on when asked for, or when any file is given. Empty ca: the system's roots.
  bool service_tls = false;
  std::string service_ca;
  std::string service_cert;
  std::string service_key;
  // What the service's certificate must bear: a SPIFFE id, otherwise a host name (empty: the
  // address's).
  std::string service_spiffe_id;
  std::string service_host_name;

  // Addresses on which callers ask: `host:port`, `[v6]:port` or `unix:/path`. Port 0: any free
  // port. At least one address.
  std::vector<std::string> listen = {"127.0.0.1:7413"};
  // TLS on the TCP listeners; mutual with client_ca.
  std::string tls_cert;
  std::string tls_key;
  std::string client_ca;
  // Allow plaintext where other hosts can reach it, and to a service on another host.
  bool allow_plaintext = false;
  // The mode of a Unix socket that it makes.
  uint32_t socket_mode = 0660;
  // The most connections at once on each listener. 0: as the limit on open files allows.
  int max_connections = 0;

  // What the validator does when its lease has run out.
  tollgate::v1::StalePolicy stale_policy = tollgate::v1::STALE_POLICY_FAIL_CLOSED;
  // With fail-open: how long past the lease's end.
  absl::Duration fail_open_for = absl::Minutes(5);
  // The bound on how differently two boot clocks run, as a fraction (R1).
  double drift_bound = 0.001;

  // How many entries the cache holds: tokens, and strings known to be no token.
  int64_t cache_entries = 65536;
  int64_t unknown_entries = 16384;
  // Questions to the service at once, checks that may wait for them, and the time limit of a
  // question.
  int64_t max_questions = 1024;
  int64_t max_waiting = 16384;
  absl::Duration resolve_timeout = absl::Seconds(2);
  // The longest pause before it connects again; the shortest is a tenth of a second.
  absl::Duration longest_backoff = absl::Seconds(5);
  // The brand, with which token strings begin.
  std::string brand = "tg";

  // Injected; both outlive the server, and `random` is thread-safe. nullptr: the machine's.
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
// lease is live.
//
// A stop (Drain) goes in this order: say NOT_SERVING, pause; admit no more; answer the calls under
// way; give up questions; report the last use and say goodbye (R4); close the stream.
class ValidatorServer {
 public:
  // Errors, by reason: BAD_FLAG, VALIDATOR_ID_MALFORMED, ADDRESS_INVALID, TLS_FILES_INVALID;
  // ADDRESS_IN_USE, ADDRESS_DENIED, ADDRESS_UNAVAILABLE; PLAINTEXT_REFUSED. A service that cannot
  // be reached is no error: the validator answers UNAVAILABLE until the service is heard. Nothing
  // is left running after an error.
  static absl::StatusOr<std::unique_ptr<ValidatorServer>> Start(ValidatorServerOptions options);
  // Drains without a pause if Drain was not called.
  virtual ~ValidatorServer() = default;

  // The listeners' addresses, with the real ports in place of port 0.
  virtual std::vector<std::string> addresses() const = 0;
  // The server's metrics, brought up to date when they are read. Must not be read after the
  // server's end.
  virtual std::shared_ptr<prometheus::Registry> registry() const = 0;
  virtual ValidatorStatus status() const = 0;
  virtual DecisionTotals totals() const = 0;

  // Stops: waits `pause` for balancers to notice, then `limit` for calls under way, and at most
  // `limit` again for the goodbye. Idempotent; returns once nothing runs.
  virtual void Drain(absl::Duration pause, absl::Duration limit) = 0;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_SERVER_H_
