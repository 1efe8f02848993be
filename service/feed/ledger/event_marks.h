// Which revisions carry events, and since when they are committed.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_EVENT_MARKS_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_EVENT_MARKS_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/types/optional.h"
#include "base/clock.h"

namespace tollgate::service {

// Only a revision with events has to be acknowledged (R14). The marks are bounded: below a boundary
// every revision counts as one with events, which asks for more than is needed, never for less.
// Pure; not thread-safe.
class EventMarks {
 public:
  // `max_marks`: how many revisions are told apart, > 0. `last_event_revision`: the last one with
  // events before `now`, which is the start of the service; 0: none.
  EventMarks(size_t max_marks, int64_t last_event_revision, base::BootTime now);

  // `revision`, above all before, has events and was committed at `now`.
  void Add(int64_t revision, base::BootTime now);
  // Forgets revisions up to `enforced`, which nobody is asked for any more, but for the newest
  // 4096: receipts of the past tell their age.
  void ForgetUpTo(int64_t enforced);

  // The last revision with events up to `revision`: what must be acknowledged for `revision`.
  int64_t LastUpTo(int64_t revision) const;
  // The first revision with events above `revision`; nullopt: none yet.
  absl::optional<int64_t> FirstAfter(int64_t revision) const;
  // How many revisions above `revision` have events.
  int64_t CountAfter(int64_t revision) const;
  // When the first revision told apart that is not below `revision` was committed; nullopt: there
  // is none.
  absl::optional<base::BootTime> CommittedFrom(int64_t revision) const;
  // When `revision` was committed; nullopt: it has no events, or is not told apart.
  absl::optional<base::BootTime> CommittedAt(int64_t revision) const;

 private:
  struct Mark {
    int64_t revision;
    base::BootTime at;
  };
  using Marks = std::deque<Mark>;
  Marks::const_iterator FirstAbove(int64_t revision) const;
  void ForgetOldest();

  const size_t max_marks_;
  Marks marks_;                  // by revision
  int64_t all_count_up_to_ = 0;  // up to it every revision counts as one with events
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_EVENT_MARKS_H_
