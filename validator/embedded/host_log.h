// The log of a library: its host says where it goes.
#ifndef TOLLGATE_VALIDATOR_EMBEDDED_HOST_LOG_H_
#define TOLLGATE_VALIDATOR_EMBEDDED_HOST_LOG_H_

#include <functional>

#include "absl/strings/string_view.h"
#include "base/log.h"

namespace tollgate::edge {

// While one lives, each line of this library's log goes to its callback; without a callback, to
// stderr. With several, to all callbacks, and once to stderr where one has none. Without any, a
// line goes nowhere. One call at a time. Thread-safe.
class HostLog {
 public:
  using Callback = std::function<void(base::LogLevel level, absl::string_view line)>;
  explicit HostLog(Callback callback);
  // Waits for a call under way; none follows.
  ~HostLog();
  HostLog(const HostLog&) = delete;
  HostLog& operator=(const HostLog&) = delete;

 private:
  friend struct HostLogs;
  const Callback callback_;
};

}  // namespace tollgate::edge

#endif  // TOLLGATE_VALIDATOR_EMBEDDED_HOST_LOG_H_
