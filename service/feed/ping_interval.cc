#include "service/feed/ping_interval.h"

#include <algorithm>

namespace tollgate::service {

absl::Duration PingIntervalFor(absl::Duration configured, absl::Duration lease, size_t followers,
                               double max_pings_per_second) {
  const absl::Duration needed =
      absl::Seconds(static_cast<double>(followers) / max_pings_per_second);
  return std::min(std::max(configured, needed), lease / 3);
}

}  // namespace tollgate::service
