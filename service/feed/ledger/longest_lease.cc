#include "service/feed/ledger/longest_lease.h"

namespace tollgate::service {

bool LongestLease::AllowsOwn() const { return own_ <= durable_ && own_ <= lease::kLongestLease; }

absl::optional<absl::Duration> LongestLease::TakeLower(base::BootTime now) {
  if (now < lower_from_) return absl::nullopt;
  lower_from_ = base::BootTime::InfiniteFuture();
  return own_;
}

}  // namespace tollgate::service
