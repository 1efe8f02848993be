// What can be chosen about an edge, be it a sidecar or embedded in a host: the bounds of each
// choice, and what it comes to.
#ifndef TOLLGATE_VALIDATOR_SHELLS_EDGE_OPTIONS_H_
#define TOLLGATE_VALIDATOR_SHELLS_EDGE_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tollgate/v1/edge_service.pb.h"
#include "validator/core/validator.h"

namespace tollgate::validator {

// The defaults are right for production.
struct EdgeOptions {
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
  // Plaintext towards a service on another host (and, for a sidecar, where other hosts can reach
  // it).
  bool allow_plaintext = false;

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
  // What may be held open at once because a token was admitted (validator/core/holds.h). 0: holds
  // are off.
  int64_t max_holds = 0;
  // For how long past the lease's end these are kept; 0: they end with it.
  absl::Duration holds_outlive_lease;
  // The longest pause before it connects again; the shortest is a tenth of a second.
  absl::Duration longest_backoff = absl::Seconds(5);
  // What token strings begin with.
  std::string brand = "tg";
};

// What the core is told. Errors, INVALID_ARGUMENT with the option's name as the field, by reason:
// OUT_OF_RANGE, BRAND_MALFORMED. The bounds of the id, the drift, the fail-open time and that of
// holds are the core's own (Validator::Create, under the same names); every other bound stands here
// alone.
absl::StatusOr<ValidatorOptions> CoreOptionsOf(const EdgeOptions& options);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_EDGE_OPTIONS_H_
