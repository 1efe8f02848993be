// tollgate-validator's flags, environment and configuration file: three spellings of one set of
// options.
#ifndef TOLLGATE_VALIDATOR_FLAGS_H_
#define TOLLGATE_VALIDATOR_FLAGS_H_

#include "absl/status/statusor.h"
#include "net/daemon_flags.h"
#include "validator/shells/server.h"

namespace tollgate::validator {

// What the command line asks for. The ready file is written once the validator listens, even if it
// is not in sync yet; its health and tollgate_validator_lease_live show that. The validator admits
// during the drain's pause; its goodbye comes after the drain's timeout.
struct ValidatorFlags {
  ValidatorServerOptions server;
  net::DaemonSettings daemon = {.metrics_listen = "localhost:7414",
                                .drain_timeout = absl::Seconds(5)};
};

// INVALID_ARGUMENT (reason BAD_FLAG): what was wrong, and how to say it right. The bounds of what a
// flag gives are for ValidatorServer::Start to check. When `daemon.print` is set, nothing else is
// to be used.
absl::StatusOr<ValidatorFlags> ParseValidatorFlags(int argc, const char* const* argv);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FLAGS_H_
