#include "service/feed/ledger/edge_figures.h"

#include <algorithm>

namespace tollgate::service {
namespace {

// A rate is taken over at least this long, because a ping comes at once after events.
constexpr absl::Duration kRateWindow = absl::Seconds(1);
// No edge holds as many; so the sum over a fleet stays far below what an int64 holds.
constexpr int64_t kMostHolds = int64_t{1} << 40;

}  // namespace

void EdgeFigures::OnPing(const tollgate::v1::Ping& ping, base::BootTime now) {
  heard_ = now;
  cached_tokens_ = std::max<int64_t>(0, ping.cached_tokens());
  open_holds_ = std::clamp<int64_t>(ping.open_holds(), 0, kMostHolds);
  decisions_ = std::max<int64_t>(0, ping.decisions());
  if (rate_base_.has_value()) {
    const absl::Duration window = now - rate_base_->first;
    if (window < kRateWindow) return;
    decisions_per_second_ =
        static_cast<double>(std::max<int64_t>(0, decisions_ - rate_base_->second)) /
        absl::ToDoubleSeconds(window);
  }
  rate_base_ = {now, decisions_};
}

}  // namespace tollgate::service
