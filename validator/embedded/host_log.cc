#include "validator/embedded/host_log.h"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

namespace tollgate::edge {

// Never destroyed: a thread may log until the process ends.
struct HostLogs {
  std::mutex mu;
  std::vector<const HostLog*> logs;  // guarded by mu

  static HostLogs& All() {
    static HostLogs* const all = new HostLogs;
    return *all;
  }

  static bool Write(base::LogLevel level, absl::string_view line) {
    HostLogs& all = All();
    std::lock_guard<std::mutex> lock(all.mu);
    bool to_stderr = false;
    for (const HostLog* log : all.logs) {
      if (log->callback_) {
        log->callback_(level, line);
      } else {
        to_stderr = true;
      }
    }
    return !to_stderr;
  }
};

HostLog::HostLog(Callback callback) : callback_(std::move(callback)) {
  // The host's checks must not wait for whoever reads its stderr.
  if (!callback_) base::QueueLogLines();
  HostLogs& all = HostLogs::All();
  std::lock_guard<std::mutex> lock(all.mu);
  all.logs.push_back(this);
  base::SetLogSink(HostLogs::Write);
}

HostLog::~HostLog() {
  HostLogs& all = HostLogs::All();
  std::lock_guard<std::mutex> lock(all.mu);
  all.logs.erase(std::remove(all.logs.begin(), all.logs.end(), this), all.logs.end());
}

}  // namespace tollgate::edge
