#include "lease/span.h"

#include <algorithm>

#include "lease/limits.h"

namespace tollgate::lease {
namespace {

// NTP slews by at most 500 ppm, and steps of less are no reason to stop granting.
constexpr absl::Duration kClockSlack = absl::Milliseconds(100);

}  // namespace

bool IsDriftBound(double drift_bound) {
  return drift_bound >= 0 && drift_bound <= kLargestDriftBound;
}

absl::Duration DriftOver(absl::Duration span, double drift_bound) { return span * drift_bound; }

HeldLease HoldFrom(base::BootTime ping_boot, absl::Time ping_wall, absl::Duration lease,
                   double drift_bound) {
  lease = std::min(lease, kLongestLease);
  return HeldLease{ping_boot, ping_wall, lease, DriftOver(lease, drift_bound)};
}

absl::Duration UncoveredFor(absl::Duration fail_open_for, double drift_bound) {
  return fail_open_for * (1 + drift_bound);
}

absl::Duration OwnWriteWindow(absl::Duration write_window, double drift_bound) {
  return write_window * (1 - drift_bound);
}

bool GainIsDrift(absl::Duration gained, absl::Duration write_window, double drift_bound) {
  return absl::AbsDuration(gained) <= DriftOver(write_window, drift_bound) + kClockSlack;
}

}  // namespace tollgate::lease
