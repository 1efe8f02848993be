// Which revisions carry events, and when they were committed.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_EVENT_MARKS_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_EVENT_MARKS_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/types/optional.h"
#include "base/clock.h"

namespace tollgate::service {

// Only a revision with events has to be acknowledged (R14). The marks are bounded: below a boundary
// every revision counts as one with events, which may demand more acknowledgements than needed,
// never fewer. Pure; not thread-safe.
class EventMarks {
 public:
  // `max_marks` (> 0): how many revisions are told apart. `now` is the start of the service;
  // `last_event_revision`: the last revision with events before it; 0: none.
  EventMarks(size_t max_marks, int64_t last_event_revision, base::BootTime now);

  // `revision` has events and was committed at `now`. It is above every revision before.
  void Add(int64_t revision, base::BootTime now);
  // Forgets the revisions up to `enforced`, which need no more acknowledgements. The newest 4096 of
  // them stay, because receipts of past revisions tell their age.
  void ForgetUpTo(int64_t enforced);

  // The last revision with events up to `revision`: `revision` is acknowledged once this one is.
  int64_t LastUpTo(int64_t revision) const;
  // The first revision with events above `revision`; nullopt: none yet.
  absl::optional<int64_t> FirstAfter(int64_t revision) const;
  // How many revisions above `revision` have events.
  int64_t CountAfter(int64_t revision) const;
  // When the first marked revision at or above `revision` was committed; nullopt: there is none.
  absl::optional<base::BootTime> CommittedFrom(int64_t revision) const;
  // When `revision` was committed; nullopt: the revision has no events, or no mark.
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
  int64_t all_count_up_to_ = 0;  // up to here every revision counts as one with events
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_EVENT_MARKS_H_
