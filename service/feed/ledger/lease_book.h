// Who may hold a lease, and until when.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_LEASE_BOOK_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_LEASE_BOOK_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "lease/limits.h"
#include "service/feed/ledger/edge_figures.h"
#include "service/feed/ledger/lessor.h"
#include "service/feed/ledger/roster.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {

// One session (R3) as the book keeps it.
struct BookedSession {
  lease::SessionId key;
  int64_t number = 0;  // of all sessions ever booked here
  std::string caller;  // who may speak for it; empty: nobody yet, or the record is an old one
  std::string version;
  std::string address;                // of its newest stream, for people
  int streams = 0;                    // open
  base::BootTime streams_changed_at;  // when its first open stream opened, or its last closed
  int64_t acknowledged = 0;           // 0: nothing to this process yet
  EdgeFigures figures;
  RosterEntry roster;

  // The longest time that it ever asked to go on past its lease (R14).
  absl::Duration fail_open_for = absl::ZeroDuration();
  // The longest time that it ever said to keep holds past its lease.
  absl::Duration holds_outlive_lease = absl::ZeroDuration();
  bool live = false;  // holds or may hold a lease, until `lease_end`
  base::BootTime lease_end = base::BootTime::InfinitePast();
  absl::optional<base::BootTime>
      uncovered_until;  // its lease ran out, and it may fail open until then
  // It is not live, and a holder may have a word of its that is good until then: it keeps holds
  // past its lease, or it said goodbye before its lease was over.
  absl::optional<base::BootTime> words_until;
  bool released = false;                    // said Goodbye (R4)
  absl::optional<base::BootTime> ended_at;  // when its last lease ended; unset while it is live
  // The head when its lease ended. A wait for a revision up to there may have waited for this
  // session.
  int64_t head_at_end = -1;
  // Its place among the missing, from 1; 0: it is none of them. A validator is missing whose newest
  // session lapsed, until it comes back under its id or is forgotten.
  int64_t missing_place = 0;
  bool missing() const { return missing_place > 0; }

  // Whether a holder may have a word of this session's that is still good.
  bool words_good() const { return live || words_until.has_value(); }

  // Used by the book alone.
  bool told_live = false;   // told by TakeLifeChanges, and no end told since
  bool remembered = false;  // in ended_, among those that ended
};

// A session became able to admit, or ended.
struct LifeChange {
  lease::SessionId key;
  bool live = false;
  bool said_goodbye = false;  // where not live
};

// The sessions and their lives. The caller grants a life (Extend); here a life only grows (R3), and
// ends by running out or by Goodbye (R4). Pure; not thread-safe; `now` and `head` never fall.
class LeaseBook {
 public:
  // `drift_bound`: R1. `max_ended`: how many ended sessions are remembered, for receipts.
  // `max_missing`: how many missing validators are remembered beside them, the newest ones.
  LeaseBook(double drift_bound, size_t max_ended, size_t max_missing = 1024)
      : drift_bound_(drift_bound), max_ended_(max_ended), max_missing_(max_missing) {}
  // Not copied: its indexes point into it.
  LeaseBook(const LeaseBook&) = delete;
  LeaseBook& operator=(const LeaseBook&) = delete;

  // A moment: the boot clock, and the store's head then.
  struct Moment {
    base::BootTime now;
    int64_t head = 0;
  };

  // --- sessions -------------------------------------------------------------------------------
  // Adds a session of the store's roster, at the start (R15). The session may admit until the book
  // is told more.
  void Recall(const tollgate::store::v1::SessionRecord& record, base::BootTime now);
  // Adds the missing validators that the store remembers, after all calls of Recall. None of them
  // may admit. `service_now` is the service's time at `now`. Those that came back, and those above
  // `max_missing`, are taken out of the store instead.
  void RecallMissing(std::vector<tollgate::store::v1::SessionRecord> records, base::BootTime now,
                     absl::Time service_now);
  // Binds the session to the first caller that asks. False, and nothing changed: the session is
  // bound to another caller.
  bool Bind(const lease::SessionId& key, absl::string_view caller, base::BootTime now);
  // A stream of the session opened with this Hello. It shortens no life (R3).
  void OpenStream(const lease::SessionId& key, const tollgate::v1::Hello& hello,
                  absl::string_view address, base::BootTime now);
  // A stream of the session closed. It shortens no life (R3).
  void CloseStream(const lease::SessionId& key, Moment at);
  // The session has applied all up to `revision`; a lower revision than before changes nothing
  // (R10). Also notes the figures of its ping.
  void Acknowledge(const lease::SessionId& key, int64_t revision, const tollgate::v1::Ping& ping,
                   base::BootTime now);

  // --- lives ----------------------------------------------------------------------------------
  // The session may admit at least until `end`. The session must be known, and not released.
  void Extend(const lease::SessionId& key, base::BootTime end);
  // Goodbye: the session's life ends at once and for ever (R4).
  void Release(const lease::SessionId& key, Moment at);
  // Time passes: leases run out. True: a lease, a fail-open time or the words to holders did.
  bool Advance(Moment at);
  // Forgets the oldest ended sessions, above `max_ended`. Returns the sessions that it forgot.
  std::vector<lease::SessionId> ForgetEnded();

  // --- the missing ----------------------------------------------------------------------------
  // An operator has this missing session forgotten: the caller takes it out of the store by a
  // command that it queues now. An addition that began before counts for nothing.
  void BeginForget(const lease::SessionId& key);
  // It is out of the store. Changes nothing where the session has come back meanwhile.
  void OnForgotten(const lease::SessionId& key);
  // Missing sessions, the longest missing first.
  const std::map<int64_t, const BookedSession*>& missing() const { return missing_; }

  // --- the roster (R15) -----------------------------------------------------------------------
  // Whether the session must be written, or written again, before it can be granted anything.
  bool NeedsRoster(const lease::SessionId& key) const;
  // Begins an addition to the roster; it must be queued now, before any removal that is taken
  // later.
  RosterWrite BeginRosterWrite(const lease::SessionId& key, absl::Time wall_now);
  // The addition is durable.
  void OnRostered(const RosterWrite& write);
  // Sessions that can hold nothing any more. Each is returned once.
  std::vector<RosterRemoval> TakeRosterRemovals();

  // --- what is true ---------------------------------------------------------------------------
  // Null: the session is not known. Valid until the next call that is not const.
  const BookedSession* Find(const lease::SessionId& key) const;
  // All known sessions, by id.
  const std::map<lease::SessionId, BookedSession>& sessions() const { return sessions_; }
  size_t live_count() const { return by_end_.size(); }
  // The least revision that a live session has acknowledged; nullopt: none is live.
  absl::optional<int64_t> least_acknowledged() const;
  // Live sessions that have acknowledged less than `revision`.
  size_t CountBelow(int64_t revision) const;
  // Leases that ran out.
  int64_t lapses() const { return lapses_; }
  int open_streams() const { return open_streams_; }
  // When Advance has something to do next; InfiniteFuture: never, as things stand.
  base::BootTime NextEnd() const;
  // The changes since the last call, in order.
  std::vector<LifeChange> TakeLifeChanges();
  // The sessions whose words to holders have ended since the last call, in order.
  std::vector<lease::SessionId> TakeWordsEnded();

 private:
  BookedSession* FindMutable(const lease::SessionId& key);
  BookedSession* FindOrAdd(const lease::SessionId& key, base::BootTime now);
  void CountIn(int64_t acknowledged) { ++live_acks_[acknowledged]; }
  void CountOut(int64_t acknowledged);
  void EndLease(BookedSession* session, bool released, Moment at);
  void EndForGood(BookedSession* session);
  // It goes among those that are remembered for receipts.
  void RememberEnded(BookedSession* session);
  // Whether the session's end means that its validator is missing: it lapsed, and nothing newer was
  // heard under its id.
  bool IsNowMissing(const BookedSession& session) const;
  void AddMissing(BookedSession* session);
  void RemoveMissing(BookedSession* session);
  // A session of this validator may admit.
  void ClearMissing(const std::string& validator_id);
  // The session's lease ended: its words to holders are over, or have an end that is not yet.
  void SetWordsEnd(BookedSession* session, Moment at);
  void EndWords(BookedSession* session);
  // The session has no end of its words in the future any more.
  void ClearWordsEnd(BookedSession* session);
  void RemoveFromRosterIfDead(BookedSession* session);

  const double drift_bound_;
  const size_t max_ended_;
  const size_t max_missing_;
  // Ordered, and ties broken by number, so that a seeded simulation replays exactly.
  std::map<lease::SessionId, BookedSession> sessions_;
  int64_t next_number_ = 0;
  using Timeline = std::map<std::pair<base::BootTime, int64_t>, BookedSession*>;
  Timeline by_end_;                     // live: when the lease runs out
  std::map<int64_t, int> live_acks_;    // live: how many sessions have acknowledged each revision
  Timeline uncovered_;                  // uncovered_until
  Timeline words_;                      // words_until
  std::deque<lease::SessionId> ended_;  // oldest first, bounded
  std::map<int64_t, const BookedSession*> missing_;      // by place; bounded
  std::map<std::string, BookedSession*> missing_by_id_;  // the same, by validator id
  int64_t missing_places_ = 0;                           // ever given
  Roster roster_;
  std::vector<LifeChange> life_changes_;
  std::vector<lease::SessionId> words_ended_;
  int64_t lapses_ = 0;
  int open_streams_ = 0;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_LEASE_BOOK_H_
