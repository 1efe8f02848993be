#include "net/start_up.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/core_dump.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/status.h"
#include "base/within.h"
#include "net/grpc_log.h"
#include "nlohmann/json.hpp"

namespace tollgate::net {
namespace {

// How many threads could be started at once, of `wanted`.
int ThreadsToBeHad(int wanted) {
  struct Gate {
    std::mutex mu;
    std::condition_variable opened;
    bool open = false;  // guarded by mu
  } gate;
  const auto wait = [](void* argument) -> void* {
    auto* const at = static_cast<Gate*>(argument);
    std::unique_lock<std::mutex> lock(at->mu);
    at->opened.wait(lock, [at] { return at->open; });
    return nullptr;
  };
  std::vector<pthread_t> started;
  pthread_t thread;
  while (static_cast<int>(started.size()) < wanted &&
         pthread_create(&thread, nullptr, wait, &gate) == 0) {
    started.push_back(thread);
  }
  {
    std::lock_guard<std::mutex> lock(gate.mu);
    gate.open = true;
    gate.opened.notify_all();
  }
  for (const pthread_t one : started) pthread_join(one, nullptr);
  return static_cast<int>(started.size());
}

}  // namespace

// gRPC 1.51: its completion queues and its event engine, each with bounds of its own.
int MoreThreadsOn(int processors) {
  return std::clamp(processors / 2, 2, 16) - 2 + std::clamp(processors, 2, 32) - 2;
}

absl::Status CheckProcess(const ProcessNeeds& needs) {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
      files.rlim_cur < static_cast<rlim_t>(needs.open_files)) {
    return base::Refuse(
        absl::StatusCode::kResourceExhausted, "TOO_FEW_FILES",
        absl::StrCat("this process may open ", files.rlim_cur, " files and sockets; it needs ",
                     needs.open_files, " to start, and one for each connection.\n",
                     "  Raise the limit:  ulimit -n 4096, or LimitNOFILE=4096 in its unit"));
  }
  const int wanted = needs.threads + MoreThreadsOn(static_cast<int>(sysconf(_SC_NPROCESSORS_CONF)));
  const int threads = ThreadsToBeHad(wanted);
  if (threads < wanted) {
    return base::Refuse(
        absl::StatusCode::kResourceExhausted, "TOO_FEW_THREADS",
        absl::StrCat("this process may start ", threads, " threads; it needs ", wanted,
                     ".\n  Raise the limit that stops it: ulimit -u (of its user, all processes "
                     "together), TasksMax= in its unit, or pids.max of its cgroup"));
  }
  return absl::OkStatus();
}

void PrepareProcess(absl::string_view program) {
  BlockShutdownSignals();
  base::InitSecrets();
  base::SetLogProgram(program);
  base::QueueLogLines();
  base::ForbidCoreDumps();  // token strings pass through here
  LogWhatGrpcSays();
  // Abseil, built as distributions do, keeps the order in which all locks were ever acquired, and
  // aborts where a cycle would be possible. Tests want that; whoever serves would pay for it at
  // each lock, and end by what may never happen.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

absl::Duration StopLimit(const DaemonSettings& settings) {
  return settings.drain_pause + settings.drain_timeout + kStopGrace;
}

Readiness::Readiness(const DaemonSettings& settings, absl::Duration patience)
    : path_(settings.ready_file), patience_(patience) {
  if (path_.empty()) return;
  (void)base::Within(patience_, [path = path_] { ReadyFile::RemoveStale(path); });
}

Readiness::~Readiness() { Remove(); }

absl::Status Readiness::Write(const Daemon& daemon, const std::vector<std::string>& listen,
                              const std::vector<std::pair<std::string, std::string>>& more,
                              const std::vector<std::string>& http) {
  if (path_.empty()) return absl::OkStatus();
  nlohmann::json ready = {{"listen", listen}, {"pid", getpid()}};
  if (const std::string metrics = daemon.metrics_address(); !metrics.empty()) {
    ready["metrics"] = metrics;
  }
  if (!http.empty()) ready["http"] = http;
  for (const auto& [name, value] : more) ready[name] = value;
  const auto written = std::make_shared<absl::StatusOr<std::shared_ptr<ReadyFile>>>();
  const bool in_time = base::Within(patience_, [written, path = path_, json = ready.dump() + "\n"] {
    *written = ReadyFile::Write(path, json);
  });
  if (!in_time) {
    return base::Refuse(
        absl::StatusCode::kUnavailable, "READY_FILE_SLOW",
        absl::StrCat("cannot write ", path_, " within ", absl::FormatDuration(patience_),
                     ": its file system hangs. Choose another place: --ready-file"));
  }
  RETURN_IF_ERROR(written->status());
  file_ = *std::move(*written);
  return absl::OkStatus();
}

void Readiness::Remove() {
  if (file_ == nullptr) return;
  (void)base::Within(std::min(patience_, absl::Seconds(1)),
                     [file = std::move(file_)]() mutable { file.reset(); });
}

}  // namespace tollgate::net
