// How far the store's revisions are enforced (R9, R11, R14, R17).
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_ENFORCED_FRONTIER_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_ENFORCED_FRONTIER_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/types/optional.h"
#include "base/clock.h"
#include "service/feed/ledger/event_marks.h"

namespace tollgate::service {

// The head, and the highest revision declared enforced, which only grows. The frontier does not
// know who holds leases; its caller tells it the least revision that any holder has acknowledged.
// Pure; not thread-safe; `now` never falls.
class EnforcedFrontier {
 public:
  // `now` is the start; `head` is durable then. `last_event_revision`: the last revision with
  // events up to the head; 0: none. `max_events`: how many revisions with events are told apart.
  EnforcedFrontier(int64_t head, int64_t last_event_revision, base::BootTime now, size_t max_events)
      : start_head_(head), head_(head), events_(max_events, last_event_revision, now) {}

  // `revision` is durable. False, and nothing changed: the revision is not above the head.
  bool OnRevision(int64_t revision, bool has_events, base::BootTime now);
  // Declares nothing before `until`, because the holders of leases are not known before (R17).
  void HoldUntil(base::BootTime until);
  // A validator has seen more of this epoch than the store holds: nothing more is declared (R11).
  void StopRolledBack() { rolled_back_ = true; }
  // The store's tail skipped a revision: nothing more is declared, because followers were not told
  // of it.
  void StopForGap() { tail_gap_ = true; }
  // Time passes. True: the hold has just ended, and Declare may declare more.
  bool Advance(base::BootTime now);
  // Declares what is enforced by now (R14). `least_acknowledged`: the least revision that any
  // session that holds or may hold a lease has acknowledged; nullopt: there is no such session.
  void Declare(absl::optional<int64_t> least_acknowledged);

  int64_t head() const { return head_; }
  // The highest revision declared enforced; 0: none since the start.
  int64_t enforced() const { return enforced_; }
  // A lease is granted only at this revision or above (R9): everything up to it may have been
  // declared enforced, by this process or by its predecessor.
  int64_t grant_floor() const;
  bool rolled_back() const { return rolled_back_; }
  bool tail_gap() const { return tail_gap_; }
  // Nothing more is declared, because of a roll-back or a gap.
  bool stopped() const { return rolled_back_ || tail_gap_; }
  // Until when nothing is declared; nullopt: there is no hold.
  absl::optional<base::BootTime> held_until() const { return held_until_; }
  // True once, after the hold has ended.
  bool TakeHoldEnd() { return std::exchange(hold_ended_, false); }
  const EventMarks& events() const { return events_; }
  // `revision` was committed after the start.
  bool CommitSeen(int64_t revision) const { return revision > start_head_; }

 private:
  const int64_t start_head_;
  int64_t head_;
  int64_t enforced_ = 0;
  EventMarks events_;
  absl::optional<base::BootTime> held_until_;
  bool hold_ended_ = false;
  bool rolled_back_ = false;
  bool tail_gap_ = false;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_ENFORCED_FRONTIER_H_
