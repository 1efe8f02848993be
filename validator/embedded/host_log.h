// The log of a library: its host decides where lines go.
#ifndef TOLLGATE_VALIDATOR_EMBEDDED_HOST_LOG_H_
#define TOLLGATE_VALIDATOR_EMBEDDED_HOST_LOG_H_

#include <functional>

#include "absl/strings/string_view.h"
#include "base/log.h"

namespace tollgate::edge {

// While one HostLog lives, each line of this library's log goes to its callback, or to stderr where
// it has no callback. While several live, a line goes to every callback, and once to stderr where
// one has none. While none lives, a line goes nowhere. One call at a time. Thread-safe.
class HostLog {
 public:
  using Callback = std::function<void(base::LogLevel level, absl::string_view line)>;
  explicit HostLog(Callback callback);
  // Waits for a call under way; no call follows.
  ~HostLog();
  HostLog(const HostLog&) = delete;
  HostLog& operator=(const HostLog&) = delete;

 private:
  friend struct HostLogs;
  const Callback callback_;
};

}  // namespace tollgate::edge

#endif  // TOLLGATE_VALIDATOR_EMBEDDED_HOST_LOG_H_
