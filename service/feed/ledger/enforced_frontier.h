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

// The head, and the highest revision declared enforced, which only grows. It does not know who
// holds leases: it is told the least that any holder has acknowledged. Pure; not thread-safe; `now`
// never falls.
class EnforcedFrontier {
 public:
  // `head` is durable at the start, which is `now`; `last_event_revision`: the last one with events
  // up to it, 0: none. `max_events`: how many revisions with events are told apart.
  EnforcedFrontier(int64_t head, int64_t last_event_revision, base::BootTime now, size_t max_events)
      : start_head_(head), head_(head), events_(max_events, last_event_revision, now) {}

  // `revision` is durable. False, and nothing changed: it is not above the head.
  bool OnRevision(int64_t revision, bool has_events, base::BootTime now);
  // Who holds a lease is not known before `until`: nothing is declared (R17).
  void HoldUntil(base::BootTime until);
  // Somebody has seen more of this epoch than the store holds: nothing more is declared (R11).
  void StopRolledBack() { rolled_back_ = true; }
  // The store's tail skipped a revision: nothing more is declared, for followers cannot be told.
  void StopForGap() { tail_gap_ = true; }
  // Time passes. True: the hold has ended now, and Declare may declare more.
  bool Advance(base::BootTime now);
  // Declares what is enforced by now (R14). `least_acknowledged`: by any session that holds or may
  // hold a lease; nullopt: nobody does.
  void Declare(absl::optional<int64_t> least_acknowledged);

  int64_t head() const { return head_; }
  // The highest revision declared enforced; 0: none since the start.
  int64_t enforced() const { return enforced_; }
  // A lease is granted at this revision or above (R9): what may have been declared, also by a
  // predecessor.
  int64_t grant_floor() const;
  bool rolled_back() const { return rolled_back_; }
  bool tail_gap() const { return tail_gap_; }
  // For either reason nothing more is declared.
  bool stopped() const { return rolled_back_ || tail_gap_; }
  // Until when nothing is declared; nullopt: there is no hold.
  absl::optional<base::BootTime> held_until() const { return held_until_; }
  // The hold has ended, and nobody was told yet.
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
