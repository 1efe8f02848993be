// R6: an event may stay unacknowledged for at most A.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_ACK_LIMIT_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_ACK_LIMIT_H_

#include <cstdint>
#include <deque>

#include "absl/time/time.h"
#include "base/clock.h"

namespace tollgate::service {

// Knows the newest event older than A. A session that has not acknowledged up to that event gets no
// lease: a session that pings and never applies would otherwise hold up every receipt. Bounded:
// events within 10 ms count as one. Pure; not thread-safe; `now` never falls.
class AckLimit {
 public:
  // `limit` is A.
  explicit AckLimit(absl::Duration limit) : limit_(limit) {}

  // `revision` has events and was committed at `now`. It is above every revision before.
  void OnEvent(int64_t revision, base::BootTime now);
  // Time passes.
  void Advance(base::BootTime now);
  // The newest event older than A; 0: there is none. A session that has acknowledged less gets no
  // lease.
  int64_t overdue() const { return overdue_; }

 private:
  struct Event {
    int64_t revision;
    base::BootTime at;
  };
  const absl::Duration limit_;
  std::deque<Event> recent_;  // at most A old
  int64_t overdue_ = 0;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_ACK_LIMIT_H_
