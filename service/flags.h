// tollgated's flags, environment and configuration file: three spellings of one set of options.
#ifndef TOLLGATE_SERVICE_FLAGS_H_
#define TOLLGATE_SERVICE_FLAGS_H_

#include "absl/status/statusor.h"
#include "net/daemon_flags.h"
#include "service/server.h"

namespace tollgate::service {

// What the command line asks for.
struct ServerFlags {
  ServerOptions server;
  net::DaemonSettings daemon = {.metrics_listen = "localhost:7412",
                                .drain_timeout = absl::Seconds(15)};
};

// INVALID_ARGUMENT (reason BAD_FLAG): what was wrong, and how to say it right. The bounds of what a
// flag gives are for Server::Start to check. When `daemon.print` is set, nothing else is to be
// used.
absl::StatusOr<ServerFlags> ParseServerFlags(int argc, const char* const* argv);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FLAGS_H_
