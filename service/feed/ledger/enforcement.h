// The ledger: who may hold a lease, what each session has acknowledged, and therefore what is
// enforced (I1).
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_ENFORCEMENT_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_ENFORCEMENT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "service/feed/ledger/ack_limit.h"
#include "service/feed/ledger/enforced_frontier.h"
#include "service/feed/ledger/hold_reports.h"
#include "service/feed/ledger/last_admissions.h"
#include "service/feed/ledger/lease_book.h"
#include "service/feed/ledger/lessor.h"
#include "service/feed/ledger/longest_lease.h"
#include "service/feed/ledger/receipt.h"
#include "service/feed/ledger/session_view.h"
#include "service/feed/ledger/write_window.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/edge_service.pb.h"
#include "tollgate/v1/enforcement.pb.h"

namespace tollgate::service {

// The serial order of R9: each call is handed to the part that it concerns, and then the ledger
// declares anew what is enforced. The parts know nothing of each other; the ledger decides what
// needs two of them. Pure: no I/O, no threads, no clock. Not thread-safe: the caller serialises all
// calls. A `now` below an earlier one counts as the earlier one, so a late caller can only lengthen
// the lives that the service counts.
class EnforcementLedger {
 public:
  struct Options {
    std::string epoch;
    absl::Duration lease = absl::Seconds(30);      // > 0, at most kLongestLease
    double drift_bound = 0.001;                    // R1
    absl::Duration ack_limit = absl::Seconds(10);  // A of R6
    // T of R16; at most the lease, or kShortestWriteWindowLimit.
    absl::Duration write_window = absl::Seconds(30);
    size_t max_ended = 4096;          // ended sessions remembered for receipts
    size_t max_missing = 1024;        // missing validators remembered, also by the store
    size_t max_evidence = 20000;      // last admissions remembered for receipts
    size_t max_hold_reports = 65536;  // reports of holds remembered for receipts
    size_t max_events = 1u << 20;     // unenforced event-bearing revisions told apart
  };
  // The state in which the store was found.
  struct Start {
    base::BootTime now;                   // read after this process's first write (R7)
    absl::Time service_now;               // the service's time, then
    int64_t head = 0;                     // durable
    int64_t last_event_revision = 0;      // HeadRecord's
    absl::Duration longest_lease;         // MetaRecord's, durable (R5)
    absl::Duration longest_lease_before;  // what it was before this process raised it
    bool restored = false;                // MetaRecord's (R17)
    // No process before this one can still grant: the hold for its T falls away (R16).
    bool predecessors_dead = false;
    // R15; and the missing validators, which count for nothing.
    std::vector<tollgate::store::v1::SessionRecord> roster;
  };
  EnforcementLedger(Options options, const Start& start);
  virtual ~EnforcementLedger() = default;

  // --- what happens ---------------------------------------------------------------------------
  // A revision is durable. Called in order, without a gap.
  void OnRevision(int64_t revision, bool has_events, base::BootTime now);
  // A successful store write began at `started`; `wall` is the wall clock read just before (R16).
  void OnStoreWrite(base::BootTime started, absl::optional<absl::Time> wall = absl::nullopt) {
    writes_.OnWrite(started, wall);
  }
  // Both clocks, read together: where a hypervisor paused the machine, the boot clock may not show
  // it.
  void OnClocks(base::BootTime now, absl::Time wall) { writes_.OnClocks(now, wall); }
  // As Lessor's. For an unknown session this counts as its first word; OnHello follows.
  bool BindCaller(const lease::SessionId& key, absl::string_view caller);
  // A stream of this session opened. It shortens nothing (R3). `address` is for people.
  virtual void OnHello(const lease::SessionId& key, const tollgate::v1::Hello& hello,
                       base::BootTime now, absl::string_view address);
  // Whether the session must be written into the roster (BeginRosterWrite), or written again,
  // before it can be granted anything (R15).
  bool NeedsRoster(const lease::SessionId& key) const { return book_.NeedsRoster(key); }
  // The record to write for the session, next.
  RosterWrite BeginRosterWrite(const lease::SessionId& key, absl::Time wall_now) {
    return book_.BeginRosterWrite(key, wall_now);
  }
  // The write is durable. It counts for nothing where the session was taken out after the write
  // began, because the store runs the removal after the write.
  void OnRostered(const RosterWrite& write) { book_.OnRostered(write); }
  // Goodbye: released at once, whatever arrives later (R4).
  void Release(const lease::SessionId& key, base::BootTime now);
  // An operator wants a missing validator forgotten: of this id, and, where it is not empty, of an
  // instance (InstanceOf) that begins so. Returns the session to be taken out of the store, by a
  // command that is queued now. NOT_FOUND (VALIDATOR_UNKNOWN): there is nothing to forget.
  // FAILED_PRECONDITION (VALIDATOR_MAY_ADMIT): it may hold a lease, or get one at any moment, or
  // something that it let in may be open.
  absl::StatusOr<lease::SessionId> BeginForget(const std::string& validator_id,
                                               absl::string_view instance, base::BootTime now);
  // It is out of the store.
  void OnForgotten(const lease::SessionId& key) { book_.OnForgotten(key); }
  // A stream closed. It shortens nothing (R3).
  void OnStreamClosed(const lease::SessionId& key, base::BootTime now);
  // As Lessor's: R10.
  void Acknowledge(const lease::SessionId& key, int64_t revision, const tollgate::v1::Ping& ping,
                   base::BootTime now);
  // As Lessor's: R1, R3, R4, R5, R6, R9, R11, R15, R16.
  LeaseAnswer GrantLease(const lease::SessionId& key, int64_t revision, base::BootTime now);
  // A validator has seen more of this epoch than the store holds: the ledger grants nothing more
  // (R11).
  void StopGranting() { frontier_.StopRolledBack(); }
  bool rolled_back() const { return frontier_.rolled_back(); }
  // The store's tail skipped a revision: the ledger grants nothing more, because its followers were
  // not told.
  void StopForGap() { frontier_.StopForGap(); }
  bool tail_gap() const { return frontier_.tail_gap(); }
  // After a roll-back or a gap: the ledger grants nothing, declares nothing enforced, and asks for
  // no more writes.
  bool stopped() const { return frontier_.stopped(); }
  // Time passes: leases run out.
  void Advance(base::BootTime now);

  // --- what is true ---------------------------------------------------------------------------
  // The highest revision declared enforced. Only grows. 0: none since the start.
  int64_t enforced_revision() const { return frontier_.enforced(); }
  // The receipt as of the last `now`. `elapsed` is unset unless the revision's commit was seen.
  tollgate::v1::Receipt ReceiptFor(const ReceiptQuestion& question) const {
    return MakeReceipt({book_, frontier_, admissions_, holds_}, question, options_.epoch, now_);
  }
  // Whether a hold that `revision` put in doubt is open still, as far as edges have said.
  bool AnyHoldOpen(int64_t revision) const { return holds_.AnyOpen(revision); }
  // Grows whenever AnyHoldOpen may have become false.
  uint64_t hold_closings() const { return holds_.closings(); }
  // Adds the views of up to `most` sessions, by id: those that come after `after`, where it is set.
  // False: there are no more.
  bool AddSessions(const absl::optional<lease::SessionId>& after, size_t most,
                   std::vector<SessionView>* views) const;
  size_t live_count() const { return book_.live_count(); }
  // Live sessions that have not acknowledged the head yet.
  size_t pending_count() const;
  int64_t lapses() const { return book_.lapses(); }

  // --- what is to be done ---------------------------------------------------------------------
  // When Advance has something to do next; InfiniteFuture: never, as things stand.
  base::BootTime NextChange() const;
  // Sessions that can hold nothing any more, to be taken out of the roster. Each is returned once;
  // after a later Hello the session asks for a new record.
  std::vector<RosterRemoval> TakeRosterRemovals() { return book_.TakeRosterRemovals(); }
  // The longest lease may now be stored as this lower value (R5). Returned once.
  absl::optional<absl::Duration> TakeLowerLongestLease() { return longest_lease_.TakeLower(now_); }
  // The hold of a restore has passed: MetaRecord.restored may be cleared (R17). True once.
  bool TakeRestoreHoldEnd() { return frontier_.TakeHoldEnd(); }
  // A keep-alive is due: streams are open, and the last write is a third of T old, or no longer
  // counts (R16).
  bool KeepAliveDue(base::BootTime now) const {
    return book_.open_streams() > 0 && !stopped() && writes_.WriteDue(now);
  }
  // Sessions that became able to admit, or ended, since the last call; in order.
  std::vector<LifeChange> TakeLifeChanges() { return book_.TakeLifeChanges(); }

 private:
  LeaseBook::Moment Moment() const { return {now_, frontier_.head()}; }
  void Declare() { frontier_.Declare(book_.least_acknowledged()); }
  void ForgetEnded();
  void EndWords();

  const Options options_;
  base::BootTime now_;
  LeaseBook book_;
  EnforcedFrontier frontier_;
  AckLimit ack_limit_;
  WriteWindow writes_;
  LongestLease longest_lease_;
  LastAdmissions admissions_;
  HoldReports holds_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_ENFORCEMENT_H_
