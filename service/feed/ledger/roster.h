// R15: which sessions are in the store's roster, and what must be written there.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "service/feed/ledger/lessor.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

// One session's entry in the roster. The session's owner holds it; only the Roster changes it.
struct RosterEntry {
  int64_t number = 0;                                   // a new one after the session was taken out
  bool written = false;                                 // durably
  bool lapsed = false;                                  // the store remembers it as lapsed
  absl::Duration fail_open_for = absl::ZeroDuration();  // as it is written
  absl::Duration holds_outlive_lease = absl::ZeroDuration();
};

// An addition to the roster, and the number of the session's entry that it writes.
struct RosterWrite {
  tollgate::store::v1::SessionRecord record;
  int64_t entry_number = 0;
};

// A session to be taken out of the store's roster.
struct RosterRemoval {
  lease::SessionId key;
  // It lapsed, and the store goes on remembering that (SessionRecord.lapsed_time_us).
  bool lapsed = false;
  // Of one that lapsed: where it connected from last. Set by the owner of the sessions.
  std::string address;
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
    return {++entries_, true, false, fail_open_for, holds_outlive_lease};
  }
  // The entry of a session that the store remembers as lapsed at the start.
  RosterEntry LapsedEntry() { return {++entries_, false, true}; }

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
  // The session can hold nothing any more. `lapsed`: the store goes on remembering that it lapsed.
  void Remove(const lease::SessionId& key, RosterEntry* entry, bool lapsed = false);
  // The store need not remember any longer that the session lapsed. Changes nothing where it does
  // not: what the roster holds stays there.
  void ForgetLapsed(const lease::SessionId& key, RosterEntry* entry);
  // The caller is about to take the session out of the store by a command of its own, queued now:
  // an addition that began before counts for nothing.
  void BeginForget(RosterEntry* entry) { entry->number = ++entries_; }
  // The session is forgotten; the store's roster may still hold it.
  void RemoveUnknown(const lease::SessionId& key) { removals_[key] = false; }

  // Sessions to be taken out of the store's roster, by id. Each is returned once.
  std::vector<RosterRemoval> TakeRemovals();

 private:
  std::map<lease::SessionId, bool> removals_;  // whether the store remembers it as lapsed
  int64_t entries_ = 0;                        // how many entries were numbered
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_H_
