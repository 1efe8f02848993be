#include "base/thread.h"

#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate::base {

absl::StatusOr<std::thread> StartThread(std::function<void()> work) {
  try {
    return std::thread(std::move(work));
  } catch (const std::system_error& error) {
    return Refuse(
        absl::StatusCode::kResourceExhausted, "TOO_FEW_THREADS",
        absl::StrCat("no thread could be started: ", error.what(),
                     ".\n  Raise the limit that stops it: ulimit -u (of its user, all processes "
                     "together), TasksMax= in its unit, or pids.max of its cgroup"));
  }
}

}  // namespace tollgate::base
