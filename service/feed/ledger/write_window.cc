#include "service/feed/ledger/write_window.h"

#include <algorithm>

#include "base/mutation.h"
#include "lease/span.h"

namespace tollgate::service {

absl::Duration WriteWindow::LongestBefore(absl::Duration own, absl::Duration longest_lease) {
  return std::max({own, longest_lease, lease::kShortestWriteWindowLimit});
}

void WriteWindow::OnWrite(base::BootTime started, absl::optional<absl::Time> wall) {
  if (started <= last_write_) return;
  last_write_ = started;
  wall_ahead_at_write_.reset();
  if (wall.has_value()) wall_ahead_at_write_ = Ahead(started, *wall);
}

bool WriteWindow::Closed(base::BootTime now) const {
  const absl::Duration window = lease::OwnWriteWindow(window_, drift_bound_);
  const absl::Duration since = now - last_write_;
  if (since >= window) return true;
  if (!wall_ahead_.has_value() || !wall_ahead_at_write_.has_value()) return false;
  if (TOLLGATE_MUTATED("r16_wall_clock_ignored")) return false;
  // A wall clock may only shorten (R1). Where it was set meanwhile, the next write settles it.
  const absl::Duration gained = *wall_ahead_ - *wall_ahead_at_write_;
  return since + gained >= window || !lease::GainIsDrift(gained, window_, drift_bound_);
}

bool WriteWindow::WriteDue(base::BootTime now) const {
  return now - last_write_ > window_ / 3 || Closed(now);
}

}  // namespace tollgate::service
