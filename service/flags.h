// tollgated's flags, environment and configuration file: three spellings of one set of options.
#ifndef TOLLGATE_SERVICE_FLAGS_H_
#define TOLLGATE_SERVICE_FLAGS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/log.h"
#include "service/server.h"

namespace tollgate {

// What the command line asked for.
struct ServerFlags {
  ServerOptions server;
  LogLevel log_level = LogLevel::kInfo;
  // Written once the service serves, for scripts and supervisors:
  // {"listen":["127.0.0.1:7411"],"metrics":"127.0.0.1:7412","epoch":"…","pid":123}.
  std::string ready_file;
  // Where Prometheus metrics are served over HTTP; empty: nowhere.
  std::string metrics_listen = "127.0.0.1:7412";
  // Between NOT_SERVING and the rest of a drain, for balancers to notice.
  absl::Duration drain_pause = absl::ZeroDuration();
  // How long calls under way get after SIGTERM.
  absl::Duration drain_timeout = absl::Seconds(15);
  // Set by --help and --version: print it and end with 0.
  absl::optional<std::string> print;
};

// A flag wins over its environment variable (--ping-interval: TOLLGATED_PING_INTERVAL), which wins
// over the file named by --config. INVALID_ARGUMENT (reason BAD_FLAG): what was wrong, and how to
// say it right.
absl::StatusOr<ServerFlags> ParseServerFlags(int argc, const char* const* argv);

// `30s`, `5m`, `24h`, `90d`, `1h30m`, `500ms`. INVALID_ARGUMENT for anything else, for a number
// without a unit, and below zero.
absl::StatusOr<absl::Duration> ParseFlagDuration(absl::string_view text);

// `tollgated 0.1.0`.
std::string ServerVersion();

}  // namespace tollgate

#endif  // TOLLGATE_SERVICE_FLAGS_H_
