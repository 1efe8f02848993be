// tollgate-validator's flags, environment and configuration file: three spellings of one set of
// options.
#ifndef TOLLGATE_VALIDATOR_FLAGS_H_
#define TOLLGATE_VALIDATOR_FLAGS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/log.h"
#include "validator/server.h"

namespace tollgate {

// What the command line asked for.
struct ValidatorFlags {
  ValidatorServerOptions server;
  LogLevel log_level = LogLevel::kInfo;
  // Written once the validator listens, whether or not it is in sync yet (its health and
  // tollgate_validator_lease_live tell that):
  // {"listen":["unix:/run/tollgate/edge.sock"],"metrics":"127.0.0.1:7414","id":"payments/edge-3","pid":123}.
  std::string ready_file;
  // Where Prometheus metrics are served over HTTP; empty: nowhere.
  std::string metrics_listen = "127.0.0.1:7414";
  // Between NOT_SERVING and the rest of a drain, for balancers to notice; it admits meanwhile.
  absl::Duration drain_pause = absl::ZeroDuration();
  // How long calls under way get after SIGTERM, and then the goodbye.
  absl::Duration drain_timeout = absl::Seconds(5);
  // Set by --help and --version: print it and end with 0.
  absl::optional<std::string> print;
};

// A flag wins over its environment variable (--stale-policy: TOLLGATE_VALIDATOR_STALE_POLICY),
// which wins over the file named by --config. INVALID_ARGUMENT (reason BAD_FLAG): what was wrong,
// and how to say it right.
absl::StatusOr<ValidatorFlags> ParseValidatorFlags(int argc, const char* const* argv);

}  // namespace tollgate

#endif  // TOLLGATE_VALIDATOR_FLAGS_H_
