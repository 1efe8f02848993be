// Checks the feed's options.
#include <algorithm>

#include "base/status.h"
#include "lease/limits.h"
#include "lease/span.h"
#include "service/feed/feed.h"
#include "service/feed/hub.h"

namespace tollgate::service {

absl::Status Feed::CheckOptions(const Options& options) {
  const auto refuse = [](absl::string_view field, absl::string_view why) {
    return base::RefuseField("BAD_FLAG", field, why);
  };
  if (options.lease <= absl::ZeroDuration() || options.lease > lease::kLongestLease) {
    return refuse("lease", "must be above 0 and at most 10 min");
  }
  if (options.ping_interval <= absl::ZeroDuration() || options.ping_interval > options.lease / 3) {
    return refuse("ping_interval", "must be above 0 and at most a third of the lease");
  }
  if (!(options.max_pings_per_second >= 1)) {
    return refuse("max_pings_per_second", "must be at least 1");
  }
  if (options.usage_interval <= absl::ZeroDuration()) {
    return refuse("usage_interval", "must be above 0");
  }
  if (!lease::IsDriftBound(options.drift_bound)) {
    return refuse("drift_bound", "must be from 0 to 0.1");
  }
  if (options.ack_limit <= absl::ZeroDuration()) return refuse("ack_limit", "must be above 0");
  if (options.write_window < absl::ZeroDuration()) {
    return refuse("write_window", "must not be negative");
  }
  if (options.write_window > std::max(options.lease, lease::kShortestWriteWindowLimit)) {
    // Otherwise a successor would not wait long enough, because it is not told this window.
    return refuse("write_window", "must be at most the lease, or 3 s where that is more");
  }
  if (options.min_stream_age <= absl::ZeroDuration() ||
      options.max_stream_age < options.min_stream_age) {
    return refuse("max_stream_age", "must be at least the shortest age, which must be above 0");
  }
  if (options.come_back_within < absl::ZeroDuration()) {
    return refuse("come_back_within", "must not be negative");
  }
  if (options.wake_shares < 1) return refuse("wake_shares", "must be at least 1");
  if (options.catch_up_revisions < 1) return refuse("catch_up_revisions", "must be at least 1");
  if (options.max_followers < 1) return refuse("max_followers", "must be at least 1");
  return absl::OkStatus();
}

}  // namespace tollgate::service
