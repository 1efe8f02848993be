#include "service/feed/longest_lease.h"

namespace tollgate {

bool LongestLease::AllowsOwn() const { return own_ <= durable_ && own_ <= kLongestLease; }

absl::optional<absl::Duration> LongestLease::TakeLower(BootTime now) {
  if (now < lower_from_) return absl::nullopt;
  lower_from_ = BootTime::InfiniteFuture();
  return own_;
}

}  // namespace tollgate
