// R15: which sessions are in the store's roster, and what must be written there.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_H_

#include <cstdint>
#include <set>
#include <vector>

#include "absl/time/time.h"
#include "service/feed/ledger/lessor.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

// One session's entry in the roster. The session's owner holds it; only the Roster changes it.
struct RosterEntry {
  int64_t number = 0;                                   // a new one after the session was taken out
  bool written = false;                                 // durably
  absl::Duration fail_open_for = absl::ZeroDuration();  // as it is written
  absl::Duration holds_outlive_lease = absl::ZeroDuration();
};

// An addition to the roster, and the number of the session's entry that it writes.
struct RosterWrite {
  tollgate::store::v1::SessionRecord record;
  int64_t entry_number = 0;
};

// Additions and removals may overtake each other on their way to the store. An addition that began
// before a removal counts for nothing, because the store runs the removal after it. A removal that
// nobody has taken yet is dropped when an addition begins. So the store holds every session whose
// entry is `written`. Pure; not thread-safe.
class Roster {
 public:
  // The entry of a new session.
  RosterEntry NewEntry() { return {++entries_}; }
  // The entry of a session that the store's roster holds at the start.
  RosterEntry WrittenEntry(absl::Duration fail_open_for, absl::Duration holds_outlive_lease) {
    return {++entries_, true, fail_open_for, holds_outlive_lease};
  }

  // Whether a session that may fail open for `fail_open_for`, and keeps holds past its lease for
  // `holds_outlive_lease`, must be written, or written again, before it can be granted anything.
  static bool Needs(const RosterEntry& entry, absl::Duration fail_open_for,
                    absl::Duration holds_outlive_lease) {
    return !entry.written || entry.fail_open_for < fail_open_for ||
           entry.holds_outlive_lease < holds_outlive_lease;
  }
  // An addition of this session begins, and must be queued now. A removal that nobody has taken yet
  // is dropped: queued after the addition, it would take out a session that was granted on it.
  void BeginWrite(const lease::SessionId& key);
  // The addition is durable. False, and nothing changed: the entry was taken out after the addition
  // began.
  bool OnWritten(const RosterWrite& write, RosterEntry* entry);
  // The session can hold nothing any more.
  void Remove(const lease::SessionId& key, RosterEntry* entry);
  // The session is forgotten; the store's roster may still hold it.
  void RemoveUnknown(const lease::SessionId& key) { removals_.insert(key); }

  // Sessions to be taken out of the store's roster, by id. Each is returned once.
  std::vector<lease::SessionId> TakeRemovals();

 private:
  std::set<lease::SessionId> removals_;
  int64_t entries_ = 0;  // how many entries were numbered
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_H_
