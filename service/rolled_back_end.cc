#include "service/rolled_back_end.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/within.h"

namespace tollgate::service {
namespace {

absl::Status MarkWithin(absl::Duration limit, const StoreHome& home, const std::string& epoch) {
  // Owned by the work too, which may outlive the process's patience with it.
  const auto marked = std::make_shared<absl::Status>();
  const bool in_time =
      base::Within(limit, [marked, home, epoch] { *marked = home.MarkRolledBack(epoch); });
  return in_time ? *marked : absl::UnavailableError("the disk hangs");
}

}  // namespace

RolledBackEnd::~RolledBackEnd() {
  if (thread_.joinable()) thread_.join();
}

void RolledBackEnd::Begin(StoreHome home, std::string epoch, std::function<void()> end) {
  auto mark = [home = std::move(home), epoch = std::move(epoch), end = std::move(end)] {
    const absl::Status marked = MarkWithin(kMarkPatience, home, epoch);
    if (!marked.ok()) {
      base::Log(base::LogLevel::kError,
                "cannot mark the store: do not start the service on it again before a new history "
                "was begun",
                {{"mark", home.mark()}, {"status", marked}});
    }
    end();
  };
  absl::StatusOr<std::thread> thread = base::StartThread(mark);
  if (!thread.ok()) return mark();  // here, since it must be said
  thread_ = *std::move(thread);
}

}  // namespace tollgate::service
