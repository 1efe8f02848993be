#include "base/line_sums.h"

#include <algorithm>

namespace tollgate::base {

void LineSums::Tell(const Periods::value_type& period, BootTime now, std::vector<Sum>* sums) {
  if (period.second.left_out == 0) return;
  sums->push_back({period.first, period.second.left_out, now - period.second.begin});
}

bool LineSums::Take(LogLevel level, absl::string_view message, absl::string_view reason,
                    BootTime now, std::vector<Sum>* sums) {
  Kind kind{level, std::string(message), std::string(reason.substr(0, kMostReason))};
  for (Sum& sum : Due(now)) sums->push_back(std::move(sum));
  const auto found = periods_.find(kind);
  if (found != periods_.end()) {
    ++found->second.left_out;
    return false;
  }
  if (periods_.size() >= options_.most_kinds) {
    const auto first = std::min_element(
        periods_.begin(), periods_.end(),
        [](const auto& a, const auto& b) { return a.second.begin < b.second.begin; });
    Tell(*first, now, sums);
    periods_.erase(first);
  }
  periods_[std::move(kind)].begin = now;
  return true;
}

std::vector<LineSums::Sum> LineSums::Due(BootTime now) {
  std::vector<Sum> sums;
  for (auto at = periods_.begin(); at != periods_.end();) {
    if (now - at->second.begin < options_.period) {
      ++at;
    } else if (at->second.left_out == 0) {
      at = periods_.erase(at);
    } else {
      Tell(*at, now, &sums);
      at->second = {now, 0};
      ++at;
    }
  }
  return sums;
}

std::vector<LineSums::Sum> LineSums::All(BootTime now) {
  std::vector<Sum> sums;
  for (const auto& period : periods_) Tell(period, now, &sums);
  periods_.clear();
  return sums;
}

}  // namespace tollgate::base
