// A session as an operator sees it.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_SESSION_VIEW_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_SESSION_VIEW_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "service/feed/ledger/event_marks.h"
#include "service/feed/ledger/lease_book.h"

namespace tollgate::service {

struct SessionView {
  lease::SessionId key;
  std::string version;
  std::string address;     // of its newest stream, as the transport names it; empty: none yet
  bool live = false;       // holds or may hold a lease
  bool uncovered = false;  // its lease ran out, and it may go on for its fail-open time (R14)
  bool released = false;
  bool missing = false;  // BookedSession::missing
  int streams = 0;
  absl::optional<absl::Duration> connected_for;  // unset: no stream is open
  absl::optional<absl::Duration> away_for;   // unset: one is; counted from the start where none was
  absl::optional<absl::Duration> ended_for;  // unset: it holds a lease, or never did
  int64_t acknowledged = 0;                  // 0: nothing to this service yet
  bool behind = false;                       // events of the past are unacknowledged
  int64_t revisions_behind = 0;  // revisions with events above `acknowledged`; 0 where that is 0
  absl::optional<absl::Duration> lag;  // since the oldest event it has not acknowledged
  absl::Duration lease_left = absl::ZeroDuration();
  absl::optional<absl::Duration> last_heard;  // unset: this process has not heard it
  absl::Duration fail_open_for = absl::ZeroDuration();
  absl::Duration holds_outlive_lease = absl::ZeroDuration();
  int64_t open_holds = 0;  // as of its last ping
  int64_t cached_tokens = 0;
  int64_t decisions = 0;
  double decisions_per_second = 0;  // between two pings a second or more apart; 0: not told yet
};

// The name of a session's process that others may know: the first 16 bytes, in hex, of the
// BLAKE2b-256 of its incarnation. Never the incarnation itself, because a session's caller proves
// itself by nothing else (R3, R4).
std::string InstanceOf(const lease::SessionId& key);

// The view of `session` at `now`, where `events` are the store's.
SessionView ViewOf(const BookedSession& session, const EventMarks& events, base::BootTime now);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_SESSION_VIEW_H_
