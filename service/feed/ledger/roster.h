// R15: which sessions are in the store's roster, and what is to be written there.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_H_

#include <cstdint>
#include <set>
#include <vector>

#include "absl/time/time.h"
#include "service/feed/ledger/lessor.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

// Where one session stands in the roster. The session's keeper holds it; the Roster alone changes
// it.
struct RosterEntry {
  int64_t number = 0;                                   // another one once it was taken out
  bool written = false;                                 // durably
  absl::Duration fail_open_for = absl::ZeroDuration();  // as it is written
};

// An addition to the roster, and of which entry of its session.
struct RosterWrite {
  tollgate::store::v1::SessionRecord record;
  int64_t entry_number = 0;
};

// Additions and removals may overtake each other on their way to the store. An addition that was
// begun before a removal counts for nothing, for the removal lies behind it; a removal that nobody
// has taken yet is dropped once an addition begins. So a session that is written lies in the store.
// Pure; not thread-safe.
class Roster {
 public:
  // The entry of a session that nothing is known of.
  RosterEntry NewEntry() { return {++entries_}; }
  // The entry of a session that the store's roster holds at the start.
  RosterEntry WrittenEntry(absl::Duration fail_open_for) {
    return {++entries_, true, fail_open_for};
  }

  // Whether a session that may fail open for `fail_open_for` must be written, or written again,
  // before it can be granted anything.
  static bool Needs(const RosterEntry& entry, absl::Duration fail_open_for) {
    return !entry.written || entry.fail_open_for < fail_open_for;
  }
  // An addition of this session begins, to be queued now. A removal that nobody has taken yet is
  // dropped: it would be queued behind the addition, and leave out a session granted on it.
  void BeginWrite(const lease::SessionId& key);
  // The addition is durable. False, and nothing changed: the entry was taken out since it began.
  bool OnWritten(const RosterWrite& write, RosterEntry* entry);
  // The session can hold nothing any more.
  void Remove(const lease::SessionId& key, RosterEntry* entry);
  // The session is forgotten, and may be in the store's roster all the same.
  void RemoveUnknown(const lease::SessionId& key) { removals_.insert(key); }

  // Sessions to be taken out of the store's roster, by id. Each is told once.
  std::vector<lease::SessionId> TakeRemovals();

 private:
  std::set<lease::SessionId> removals_;
  int64_t entries_ = 0;  // so many were numbered
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_H_
