// The shell around the ledger: one lock, the calls that wait for a receipt, and the store writes
// that the ledger asks for.
#ifndef TOLLGATE_SERVICE_FEED_ENFORCEMENT_DESK_H_
#define TOLLGATE_SERVICE_FEED_ENFORCEMENT_DESK_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "service/feed/ledger/enforcement.h"
#include "service/feed/ledger/lessor.h"
#include "service/use/use_sink.h"
#include "storage/sequencer.h"

namespace tollgate::service {

// An operator wants a missing validator forgotten.
struct ForgetQuestion {
  std::string validator_id;
  std::string instance;  // how it begins; empty: whichever is missing
  std::string actor;     // who asks, for the audit log
  std::string origin;    // from where
};

// Thread-safe. Its one lock is the serial order of R9. Everything that calls out (receipts, store
// writes, the use sink) happens outside the lock. A method that may be called with a stream's lock
// held says so.
class EnforcementDesk : public Lessor {
 public:
  struct Options {
    storage::Sequencer* sequencer = nullptr;
    const base::Clock* clock = nullptr;
    UseSink* use = nullptr;  // may be null
    // Called when a commit may have made something due: Settle() must then be called soon, on
    // another thread.
    std::function<void()> wake;
    // Called when the store answers again: followers that were refused because the store was silent
    // may ask anew. On the committing thread. May be empty.
    std::function<void()> wake_streams;
    std::function<void(absl::Duration)> on_enforced;  // may be empty
    // A validator has told what its wall clock says (R20). Quick; may come with a stream's lock
    // held. May be empty.
    std::function<void(const std::string& validator_id, absl::Time wall)> on_edge_time;
  };
  EnforcementDesk(Options options, std::unique_ptr<EnforcementLedger> ledger);
  ~EnforcementDesk() override;

  // Lessor. Both may be called with a stream's lock held. Both read the clock under the desk's
  // lock: a reading from before the wait for that lock would be too early (R1).
  void Acknowledge(const lease::SessionId& key, int64_t revision,
                   const tollgate::v1::Ping& ping) override ABSL_LOCKS_EXCLUDED(mu_);
  LeaseAnswer GrantLease(const lease::SessionId& key, int64_t revision) override
      ABSL_LOCKS_EXCLUDED(mu_, sink_mu_);

  bool BindCaller(const lease::SessionId& key, absl::string_view caller) override
      ABSL_LOCKS_EXCLUDED(mu_);

  // A revision is durable. Called on the committing thread.
  void OnRevision(int64_t revision, bool has_events) ABSL_LOCKS_EXCLUDED(mu_);
  // `address`: where the validator connects from, for people.
  void OnHello(const lease::SessionId& key, const tollgate::v1::Hello& hello,
               absl::string_view address = {}) ABSL_LOCKS_EXCLUDED(mu_);
  void OnStreamClosed(const lease::SessionId& key) ABSL_LOCKS_EXCLUDED(mu_);
  void Release(const lease::SessionId& key) ABSL_LOCKS_EXCLUDED(mu_);
  // The store was rolled back (R11). Only the first call returns true.
  bool StopGranting() ABSL_LOCKS_EXCLUDED(mu_);
  // The store's tail has a gap.
  void StopForGap() ABSL_LOCKS_EXCLUDED(mu_);

  // Writes the session into the roster if it must be there (R15); `done` then runs on the
  // committing thread, whether or not the write succeeded. False: there is nothing to write, and
  // `done` never runs.
  bool WriteRoster(const lease::SessionId& key, std::function<void()> done)
      ABSL_LOCKS_EXCLUDED(mu_, roster_mu_);

  // As Hub's.
  void Forget(const ForgetQuestion& question,
              std::function<void(absl::StatusOr<storage::Committed>)> done)
      ABSL_LOCKS_EXCLUDED(mu_, roster_mu_);

  // As Hub's.
  static constexpr size_t kMaxWaiting = 10'000;
  WaitId WaitEnforced(const ReceiptQuestion& question, absl::Duration timeout,
                      std::function<void(tollgate::v1::Receipt)> done) ABSL_LOCKS_EXCLUDED(mu_);
  void EndWait(const WaitId& id) ABSL_LOCKS_EXCLUDED(mu_);
  tollgate::v1::Receipt ReceiptFor(const ReceiptQuestion& question) ABSL_LOCKS_EXCLUDED(mu_);
  int64_t enforced_revision() ABSL_LOCKS_EXCLUDED(mu_);
  // All known sessions, by id. They are read some at a time, each as of a moment of its own, so
  // that looking at a large fleet holds up no lease.
  std::vector<SessionView> Sessions() ABSL_LOCKS_EXCLUDED(mu_);

  // Answers the waits whose revision is enforced by now, and whose holds are closed where they ask
  // for that. Call it without locks, after anything happened.
  void Settle() ABSL_LOCKS_EXCLUDED(mu_, sink_mu_);
  // Time passes: handles lapses, timeouts, and the writes that are due. Returns the latest time for
  // the next call.
  base::BootTime Tick() ABSL_LOCKS_EXCLUDED(mu_, roster_mu_, sink_mu_);
  // Answers every wait, and waits for the writes under way. No other call may run meanwhile.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  struct Figures {
    size_t live = 0;
    size_t pending = 0;
    int64_t enforced = 0;
    int64_t grants = 0;
    int64_t grants_refused = 0;
    int64_t lapses = 0;
    int64_t waiting = 0;
    bool rolled_back = false;
    bool tail_gap = false;
  };
  Figures figures() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Waiter {
    ReceiptQuestion question;
    base::BootTime deadline;
    base::BootTime began;
    std::function<void(tollgate::v1::Receipt)> done;
  };
  using Waiters = std::map<std::pair<int64_t, int64_t>, Waiter>;  // by revision; ties by number
  // Whether what the question waits for has come.
  bool HasCome(const ReceiptQuestion& question) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes the wait out of those whose deadline is watched, and adds it to `ready`.
  void Ready(Waiters::node_type waiter, std::vector<Waiter>* ready)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Answer(const Waiter& waiter) ABSL_LOCKS_EXCLUDED(mu_);
  // Tells the ledger of the newest write and of both clocks; returns the boot clock.
  base::BootTime NoteClocks() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Tells the sink what changed, in order. Before a receipt leaves, because whoever gets it looks
  // for what is missing (gaps) at the sink.
  void TellSink() ABSL_LOCKS_EXCLUDED(mu_, sink_mu_);
  // Submits to the sequencer and counts the write, so that Stop can wait for its end.
  void Write(std::shared_ptr<storage::Command> command,
             std::function<void(const absl::Status&)> done) ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  // Held from the ledger's answer about the roster until the command is queued. Without it a
  // removal could be queued after the addition that overtook it, and a live session would be left
  // out (R15). Acquired before mu_.
  absl::Mutex roster_mu_ ABSL_ACQUIRED_BEFORE(mu_);
  // Held while the sink is told, so that it hears of changes in their order. Acquired before mu_.
  absl::Mutex sink_mu_ ABSL_ACQUIRED_BEFORE(mu_);
  absl::Mutex mu_;
  const std::unique_ptr<EnforcementLedger> ledger_ ABSL_PT_GUARDED_BY(mu_);
  Waiters waiters_ ABSL_GUARDED_BY(mu_);             // for a revision to be enforced
  Waiters holds_waiters_ ABSL_GUARDED_BY(mu_);       // it is, and for its holds to be closed
  uint64_t seen_closings_ ABSL_GUARDED_BY(mu_) = 0;  // the ledger's, when those were looked at
  std::map<std::pair<base::BootTime, int64_t>, int64_t> deadlines_ ABSL_GUARDED_BY(mu_);  // of both
  int64_t next_waiter_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<std::pair<int64_t, base::BootTime>> unenforced_
      ABSL_GUARDED_BY(mu_);  // for the metric
  int writes_under_way_ ABSL_GUARDED_BY(mu_) = 0;
  bool keep_alive_under_way_ ABSL_GUARDED_BY(mu_) = false;
  bool refused_for_silence_ ABSL_GUARDED_BY(mu_) = false;  // since the last keep-alive
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  int64_t grants_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t grants_refused_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_ENFORCEMENT_DESK_H_
