// What the main of every daemon does alike, before it serves and once it does.
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

// main's first act, before any thread: shutdown signals wait for a Daemon, libsodium is ready, the
// log has the program's name and a thread that writes it, and no core dump will be written.
void PrepareProcess(absl::string_view program);

// Where the settings name a ready file, writes it, whole or not at all: one JSON object,
// {"listen":["127.0.0.1:7411"],"metrics":"127.0.0.1:7412","pid":123}, and `more` in it. "metrics"
// is where the daemon serves them, with the port that was found for port 0; absent where it does
// not. Errors: WriteReadyFile's.
absl::Status WriteReadiness(const DaemonSettings& settings, const Daemon& daemon,
                            const std::vector<std::string>& listen,
                            const std::vector<std::pair<std::string, std::string>>& more);

// Removes the ready file of this or an earlier run: before a start, so that whoever waits for it
// does not read of a process that is gone, and at the end.
void RemoveReadiness(const DaemonSettings& settings);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_START_UP_H_
