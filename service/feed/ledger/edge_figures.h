// What a validator reports of itself, for people: nothing is decided by it.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_EDGE_FIGURES_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_EDGE_FIGURES_H_

#include <cstdint>
#include <utility>

#include "absl/types/optional.h"
#include "base/clock.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {

// The figures of one session's pings. A count below zero counts as zero. Pure; not thread-safe;
// `now` never falls.
class EdgeFigures {
 public:
  // The session said Hello.
  void OnHello(base::BootTime now) { heard_ = now; }
  // The session said Ping.
  void OnPing(const tollgate::v1::Ping& ping, base::BootTime now);

  // When the session was last heard; nullopt: not yet.
  absl::optional<base::BootTime> heard() const { return heard_; }
  int64_t cached_tokens() const { return cached_tokens_; }
  int64_t open_holds() const { return open_holds_; }
  // Decisions since the validator's start.
  int64_t decisions() const { return decisions_; }
  // Measured between two pings a second or more apart; 0: not told yet, or the count fell.
  double decisions_per_second() const { return decisions_per_second_; }

 private:
  absl::optional<base::BootTime> heard_;
  int64_t cached_tokens_ = 0;
  int64_t open_holds_ = 0;
  int64_t decisions_ = 0;
  absl::optional<std::pair<base::BootTime, int64_t>>
      rate_base_;  // when this number of decisions was told
  double decisions_per_second_ = 0;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_EDGE_FIGURES_H_
