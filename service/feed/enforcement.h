// The ledger: who may hold a lease, what each has acknowledged, and so what is enforced (I1).
#ifndef TOLLGATE_SERVICE_FEED_ENFORCEMENT_H_
#define TOLLGATE_SERVICE_FEED_ENFORCEMENT_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "lease/limits.h"
#include "service/feed/lessor.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/edge_service.pb.h"
#include "tollgate/v1/enforcement.pb.h"

namespace tollgate {

// Of each kind that a receipt names validators of.
inline constexpr int kMaxNamedInReceipt = 100;

// Whose receipt is asked for.
struct ReceiptQuestion {
  int64_t revision = 0;
  // For the revocation of one token: names last admissions in the receipt. Empty: none.
  std::string workspace;
  std::string token_id;
};

// A place among those who wait for enforcement; number 0: none was taken.
struct WaitId {
  int64_t revision = 0;
  int64_t number = 0;
};

// A session as an operator sees it.
struct SessionView {
  SessionId key;
  std::string version;
  std::string address;     // of its newest stream, as the transport names it; empty: none yet
  bool live = false;       // holds or may hold a lease
  bool uncovered = false;  // its lease ran out, and it may go on for its fail-open time (R14)
  bool released = false;
  int streams = 0;
  absl::optional<absl::Duration> connected_for;  // unset: no stream is open
  absl::optional<absl::Duration> away_for;       // unset: one is; since the start where none was
  absl::optional<absl::Duration> ended_for;      // unset: it holds a lease, or never did
  int64_t acknowledged = 0;                      // 0: nothing to this service yet
  bool behind = false;                           // events of the past are unacknowledged
  int64_t revisions_behind = 0;  // revisions with events above `acknowledged`; 0 where that is 0
  absl::optional<absl::Duration> lag;  // since the oldest event it has not acknowledged
  absl::Duration lease_left = absl::ZeroDuration();
  absl::optional<absl::Duration> last_heard;  // unset: not by this service since its start
  absl::Duration fail_open_for = absl::ZeroDuration();
  int64_t cached_tokens = 0;
  int64_t decisions = 0;
  double decisions_per_second = 0;  // between two pings a second or more apart; 0: not told yet
};

// A pure state machine: no I/O, no threads, no clock. Not thread-safe: its caller serialises all
// calls, which is what R9 asks for. A `now` below one seen before counts as that one, so a late
// caller can only lengthen what the service believes.
class EnforcementLedger : public Lessor {
 public:
  struct Options {
    std::string epoch;
    absl::Duration lease = absl::Seconds(30);      // > 0, at most kLongestLease
    double drift_bound = 0.001;                    // R1
    absl::Duration ack_limit = absl::Seconds(10);  // A of R6
    // T of R16; at most the lease, or kShortestWriteWindowLimit.
    absl::Duration write_window = absl::Seconds(30);
    size_t max_ended = 4096;       // ended sessions remembered for receipts
    size_t max_evidence = 20000;   // last admissions remembered for receipts
    size_t max_events = 1u << 20;  // unenforced event-bearing revisions told apart
  };
  // How the store was found.
  struct Start {
    BootTime now;                         // read after this process's first write (R7)
    int64_t head = 0;                     // durable
    int64_t last_event_revision = 0;      // HeadRecord's
    absl::Duration longest_lease;         // MetaRecord's, durable (R5)
    absl::Duration longest_lease_before;  // what it was before this process raised it
    bool restored = false;                // MetaRecord's (R17)
    std::vector<tollgate::store::v1::SessionRecord> roster;  // R15
  };
  EnforcementLedger(Options options, const Start& start);
  ~EnforcementLedger() override;

  // --- what happens ---------------------------------------------------------------------------
  // A revision is durable. In order, without a gap.
  void OnRevision(int64_t revision, bool has_events, BootTime now);
  // A store write that succeeded had begun at `started`; `wall`: by the wall clock, read just
  // before (R16).
  void OnStoreWrite(BootTime started, absl::optional<absl::Time> wall = absl::nullopt);
  // Both clocks, read together. Where a hypervisor paused the machine, the boot clock may not tell.
  void OnClocks(BootTime now, absl::Time wall) { wall_ahead_ = Ahead(now, wall); }
  // Lessor. Of a session not known before it counts as the first word; OnHello is to follow.
  bool BindCaller(const SessionId& key, absl::string_view caller) override;
  // A stream of this session opened. It shortens nothing (R3). True: it must be written into the
  // roster (BeginRosterWrite) before it can be granted anything (R15). `address` is for people.
  bool OnHello(const SessionId& key, const tollgate::v1::Hello& hello, BootTime now,
               absl::string_view address = {});
  // Whether it still must be, or must be again.
  bool NeedsRoster(const SessionId& key) const;
  // An addition to the roster, and which of the session's stays in it that is.
  struct RosterWrite {
    tollgate::store::v1::SessionRecord record;
    int64_t stay = 0;
  };
  // What is to be written for it, next. A removal that nobody has taken yet is dropped: it would be
  // queued behind this addition, and leave out a session that was granted on it (R15).
  RosterWrite BeginRosterWrite(const SessionId& key, absl::Time wall_now);
  // It is durable. Where the session was taken out since it began, it counts for nothing: the
  // removal lies behind it.
  void OnRostered(const RosterWrite& write);
  // Goodbye: released at once, whatever arrives later (R4).
  void Release(const SessionId& key, BootTime now);
  // A stream closed. It shortens nothing (R3).
  void OnStreamClosed(const SessionId& key, BootTime now);
  // Lessor: R10.
  void Acknowledge(const SessionId& key, int64_t revision, const tollgate::v1::Ping& ping,
                   BootTime now) override;
  // Lessor: R1, R3, R4, R5, R6, R9, R11, R15, R16.
  Grant GrantLease(const SessionId& key, int64_t revision, BootTime now) override;
  // Somebody has seen more of this epoch than the store holds: it grants nothing more (R11).
  void StopGranting() { rolled_back_ = true; }
  bool rolled_back() const { return rolled_back_; }
  // The store's tail skipped a revision: it grants nothing more, for its followers cannot be told.
  void StopForGap() { tail_gap_ = true; }
  bool tail_gap() const { return tail_gap_; }
  // For either reason it grants nothing, declares nothing enforced, and asks for no more writes.
  bool stopped() const { return rolled_back_ || tail_gap_; }
  // Time passes: leases run out.
  void Advance(BootTime now);

  // --- what is true ---------------------------------------------------------------------------
  // The highest revision declared enforced. Only grows. 0: none yet since the start.
  int64_t enforced_revision() const { return enforced_; }
  int64_t head() const { return head_; }
  // Grants need at least this revision (R9).
  int64_t grant_floor() const;
  // The receipt as of the last `now`, elapsed unset unless the revision's commit was seen.
  tollgate::v1::Receipt ReceiptFor(const ReceiptQuestion& question) const;
  // All sessions known, by id.
  std::vector<SessionView> Sessions() const;
  // Adds up to `most` of them that come after `after`, where that is set; false: those were the
  // last.
  bool AddSessions(const absl::optional<SessionId>& after, size_t most,
                   std::vector<SessionView>* views) const;
  size_t live_count() const { return by_end_.size(); }
  // Live sessions that the head still waits for.
  size_t pending_count() const;
  int64_t lapses() const { return lapses_; }

  // --- what is to be done ---------------------------------------------------------------------
  // When Advance is next of use; InfiniteFuture: never, as things stand.
  BootTime NextChange() const;
  // Sessions that cannot hold anything any more, to be taken out of the roster. Each is told
  // once; a later Hello of it asks for a new record.
  std::vector<SessionId> TakeRosterRemovals();
  // The longest lease may now be stored as this, lower than what is there (R5). Told once.
  absl::optional<absl::Duration> TakeLowerLongestLease();
  // The hold of a restore has passed: MetaRecord.restored may be cleared (R17). Told once.
  bool TakeRestoreHoldEnd();
  // A keep-alive is due: streams are open, and the last write is a third of T old, or of no use any
  // more (R16).
  bool KeepAliveDue(BootTime now) const;
  // Sessions that became able to admit, or ended, since the last call, in order.
  struct LifeChange {
    SessionId key;
    bool live = false;
    bool said_goodbye = false;  // not live
  };
  std::vector<LifeChange> TakeLifeChanges();

 private:
  struct Session;
  struct EventMark {
    int64_t revision;
    BootTime at;
  };
  struct Evidence {
    SessionId session;
    std::string token;
    int64_t revision;
    BootTime at;
    absl::optional<absl::Time> last_admit;
  };
  Session* Find(const SessionId& key) const;
  Session* Add(SessionId key);
  void Grow(Session* session, BootTime end);
  void EndLease(Session* session, bool released);
  void EndForGood(Session* session);
  void TellLive(Session* session);
  void RemoveFromRosterIfDead(Session* session);
  void Remember(const tollgate::v1::Ping& ping, Session* session);
  // Evidence of these revisions did not all come, or was forgotten: no guess is made.
  static void Lose(int64_t first, int64_t last, Session* session);
  // By how much the wall clock is ahead of the boot clock; only differences of it mean anything.
  static absl::Duration Ahead(BootTime now, absl::Time wall) {
    return wall - absl::UnixEpoch() - absl::Nanoseconds(now.nanos());
  }
  // No write began within T, by either clock, or they disagree on how long ago the last one did.
  bool StoreSilent(BootTime now) const;
  void AgeEvents();
  void Recompute();
  void ForgetEnded();
  // The last revision with events up to `revision`: what must be acknowledged for it (R14).
  int64_t LastEventUpTo(int64_t revision) const;
  // How many have events above `revision`.
  int64_t EventsAfter(int64_t revision) const;
  // The first revision with events above `revision`; nullopt: none yet.
  absl::optional<int64_t> FirstEventAfter(int64_t revision) const;
  SessionView ViewOf(const Session& session) const;
  // The receipt's last admissions: what was said, and, of the edges `unheard`, that nothing was.
  void AddLastAdmits(const ReceiptQuestion& question, const std::vector<std::string>& unheard,
                     tollgate::v1::Receipt* receipt) const;

  const Options options_;
  const BootTime started_at_;
  const int64_t start_head_;
  BootTime now_;
  BootTime last_write_ = BootTime::InfinitePast();
  absl::optional<absl::Duration> wall_ahead_at_write_;  // when the last write began
  absl::optional<absl::Duration> wall_ahead_;           // at the last OnClocks
  absl::Duration longest_lease_;
  BootTime lower_longest_at_ = BootTime::InfiniteFuture();
  BootTime restore_hold_until_ = BootTime::InfinitePast();
  bool restore_hold_ = false;
  bool restore_hold_ended_ = false;  // and nobody was told yet
  bool rolled_back_ = false;
  bool tail_gap_ = false;
  int64_t head_;
  int64_t enforced_ = 0;
  int64_t lapses_ = 0;
  int streams_ = 0;

  // Ordered, and ended ties broken by number, so that a seeded simulation replays exactly.
  std::map<SessionId, std::unique_ptr<Session>> sessions_;
  int64_t next_number_ = 0;
  using Timeline = std::map<std::pair<BootTime, int64_t>, Session*>;
  Timeline by_end_;                      // live: when the lease runs out
  std::map<int64_t, int> live_acks_;     // live: how many have acknowledged what
  Timeline uncovered_;                   // fail-open past its lease: until when
  std::deque<SessionId> ended_;          // oldest first, bounded
  std::deque<EventMark> events_;         // event-bearing revisions, bounded
  int64_t events_known_above_ = 0;       // up to it every revision counts as one
  std::deque<EventMark> recent_events_;  // by age, coarse, at most A old (R6)
  int64_t stale_event_ = 0;              // the newest event older than A
  std::deque<Evidence> evidence_;
  std::set<SessionId> removals_;
  int64_t stays_ = 0;  // in the roster, of all sessions: numbers them
  std::vector<LifeChange> life_changes_;
};

}  // namespace tollgate

#endif  // TOLLGATE_SERVICE_FEED_ENFORCEMENT_H_
