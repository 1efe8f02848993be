// What the mains of all daemons have in common.
#ifndef TOLLGATE_NET_START_UP_H_
#define TOLLGATE_NET_START_UP_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "net/daemon.h"
#include "net/daemon_flags.h"

namespace tollgate::net {

// The first call of main, before any thread. Blocks shutdown signals for a Daemon, starts
// libsodium, gives the log the program's name, and forbids core dumps.
void PrepareProcess(absl::string_view program);

// Writes the ready file, where the settings name one, whole or not at all: one JSON object,
// {"listen":["127.0.0.1:7411"],"metrics":"127.0.0.1:7412","pid":123}, with the members of `more`
// added. "metrics" is the address of the daemon's metrics, with the real port in place of port 0;
// absent where the daemon serves none. Errors: WriteReadyFile's.
absl::Status WriteReadiness(const DaemonSettings& settings, const Daemon& daemon,
                            const std::vector<std::string>& listen,
                            const std::vector<std::pair<std::string, std::string>>& more);

// Removes the ready file of this or an earlier run: before a start, so that a reader of the file
// does not learn of a process that is gone, and at the end.
void RemoveReadiness(const DaemonSettings& settings);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_START_UP_H_
