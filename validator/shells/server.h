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
#include "tollgate/v1/edge_service.pb.h"
#include "validator/core/validator.h"

namespace prometheus {
class Registry;
}  // namespace prometheus

namespace tollgate::validator {

// All that can be chosen. The defaults are right for production; flags.h gives each a flag.
struct ValidatorServerOptions {
  // Stable over restarts, as in `payments/edge-3`. Required.
  std::string id;
  // The control plane: `host:port` or `unix:/path`. It need not answer yet.
  std::string service = "localhost:7411";
  // TLS towards it: on when asked for, or when any file is given. Empty ca: the system's roots.
  bool service_tls = false;
  std::string service_ca;
  std::string service_cert;
  std::string service_key;
  // What its certificate must say: a SPIFFE id, else a host name (empty: that of the address).
  std::string service_spiffe_id;
  std::string service_host_name;

  // Where callers ask: `host:port`, `[v6]:port` or `unix:/path`. Port 0: any free one. At least
  // one.
  std::vector<std::string> listen = {"localhost:7413"};
  // TLS on the TCP listeners; with client_ca mutual.
  std::string tls_cert;
  std::string tls_key;
  std::string client_ca;
  // Plaintext where other hosts can reach it, or towards a service on another host.
  bool allow_plaintext = false;
  // Of a Unix socket that it makes.
  uint32_t socket_mode = 0660;
  // Connections at once, on each listener. 0: as the limit on open files allows.
  int max_connections = 0;

  // What it does when its lease has run out.
  tollgate::v1::StalePolicy stale_policy = tollgate::v1::STALE_POLICY_FAIL_CLOSED;
  // With fail-open: for how long past the lease's end.
  absl::Duration fail_open_for = absl::Minutes(5);
  // The bound on how differently two boot clocks run, as a fraction (R1).
  double drift_bound = 0.001;

  // What it remembers: tokens, and strings known to be no token.
  int64_t cache_entries = 65536;
  int64_t unknown_entries = 16384;
  // Questions to the service at once, checks that may wait for them, and for how long each.
  int64_t max_questions = 1024;
  int64_t max_waiting = 16384;
  absl::Duration resolve_timeout = absl::Seconds(2);
  // The longest pause before it connects again; the shortest is a tenth of a second.
  absl::Duration longest_backoff = absl::Seconds(5);
  // What token strings begin with.
  std::string brand = "tg";

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
