#include "service/feed/write_window.h"

#include <algorithm>

namespace tollgate {
namespace {

// The two clocks are read one after the other; so much may pass in between.
constexpr absl::Duration kClockSlack = absl::Milliseconds(100);

}  // namespace

absl::Duration WriteWindow::LongestBefore(absl::Duration own, absl::Duration longest_lease) {
  return std::max({own, longest_lease, kShortestWindowLimit});
}

void WriteWindow::OnWrite(BootTime started, absl::optional<absl::Time> wall) {
  if (started <= last_write_) return;
  last_write_ = started;
  wall_ahead_at_write_.reset();
  if (wall.has_value()) wall_ahead_at_write_ = Ahead(started, *wall);
}

bool WriteWindow::Closed(BootTime now) const {
  const absl::Duration window = window_ * (1 - drift_bound_);
  const absl::Duration since = now - last_write_;
  if (since >= window) return true;
  if (!wall_ahead_.has_value() || !wall_ahead_at_write_.has_value()) return false;
  // A wall clock may only shorten (R1). Where it was set meanwhile, the next write settles it.
  const absl::Duration gained = *wall_ahead_ - *wall_ahead_at_write_;
  return since + gained >= window ||
         absl::AbsDuration(gained) > window_ * drift_bound_ + kClockSlack;
}

bool WriteWindow::WriteDue(BootTime now) const {
  return now - last_write_ > window_ / 3 || Closed(now);
}

}  // namespace tollgate
