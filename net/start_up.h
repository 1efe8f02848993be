// What the mains of all daemons have in common.
#ifndef TOLLGATE_NET_START_UP_H_
#define TOLLGATE_NET_START_UP_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "net/daemon.h"
#include "net/daemon_flags.h"
#include "net/ready_file.h"

namespace tollgate::net {

// main's first act, before any thread: shutdown signals wait for a Daemon, libsodium is ready, the
// log has the program's name and a thread that writes it, no core dump will be written, and locks
// are not watched for cycles.
void PrepareProcess(absl::string_view program);

// What a program needs of its process to start at all, with some room to serve.
struct ProcessNeeds {
  int threads = 0;  // on two processors
  int open_files = 0;
};

// How many threads gRPC starts beyond what it does on two processors.
int MoreThreadsOn(int processors);

// RESOURCE_EXHAUSTED, TOO_FEW_THREADS or TOO_FEW_FILES, with the limit to raise. A library that
// cannot start a thread, or open a descriptor, ends the process without a word; so this is asked
// first. Starts threads for a moment, to see.
absl::Status CheckProcess(const ProcessNeeds& needs);

// How long a process that was asked to end may take beyond what its settings give its callers: for
// its store's last writes.
inline constexpr absl::Duration kStopGrace = absl::Seconds(5);
// After this a process that was asked to end does so at once (Daemon::BoundStopping): the drain's
// pause and limit, and kStopGrace.
absl::Duration StopLimit(const DaemonSettings& settings);

// Where the settings name a ready file: writes it once the daemon serves, and removes it at the
// end. A file system that has hung holds neither up for long. Not thread-safe.
class Readiness {
 public:
  // Removes what an earlier run has left there, so that whoever waits for the file does not read of
  // a process that is gone. The file of a process that runs stays.
  explicit Readiness(const DaemonSettings& settings, absl::Duration patience = absl::Seconds(5));
  // Remove()s.
  ~Readiness();
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  // Whole or not at all: one JSON object, {"listen":["127.0.0.1:7411"],"metrics":"127.0.0.1:7412",
  // "pid":123}, and `more` in it. "metrics" is where the daemon serves them, with the port that was
  // found for port 0; absent where it does not. "http", where there is any, is `http`: a list like
  // the first. Once. UNAVAILABLE: SYSTEM_ERROR; READY_FILE_SLOW,
  // when it takes longer than `patience`.
  absl::Status Write(const Daemon& daemon, const std::vector<std::string>& listen,
                     const std::vector<std::pair<std::string, std::string>>& more,
                     const std::vector<std::string>& http = {});
  // Where the file there is still the one that was written. Idempotent.
  void Remove();

 private:
  const std::string path_;  // empty: none is asked for
  const absl::Duration patience_;
  std::shared_ptr<ReadyFile> file_;
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_START_UP_H_
