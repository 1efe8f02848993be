// The feed: every decision about streams, the store's tail and who is woken when. Its drivers
// (threads and timers in hub.cc, virtual time in tests/simulation) decide nothing.
#ifndef TOLLGATE_SERVICE_FEED_FEED_H_
#define TOLLGATE_SERVICE_FEED_FEED_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"
#include "service/feed/enforcement_desk.h"
#include "service/feed/event_ring.h"
#include "service/feed/feed_reader.h"
#include "service/feed/fleet_news.h"
#include "service/feed/follow_wire.h"
#include "service/feed/ledger/lessor.h"
#include "service/history/history.h"
#include "service/history/proof_maker.h"
#include "service/use/use_sink.h"
#include "storage/engine.h"
#include "storage/sequencer.h"

namespace tollgate::service {

class FollowerStream;

// Decides when the feed's work is done, and on which thread. Thread-safe. Each call is quick, only
// notes the request, and never calls back into the feed before it has returned. Calls may come on
// the committing thread, and with a stream's lock held.
class FeedScheduler {
 public:
  virtual ~FeedScheduler() = default;
  // Asks for a call of FollowerStream::Wake of this stream, soon.
  virtual void WakeStreamSoon(std::shared_ptr<FollowerStream> stream) = 0;
  // Asks for a call of Feed::WakeStreams for every share, soon.
  virtual void WakeAllSoon() = 0;
  // Asks for a call of Feed::Tick soon, sooner than the time that Tick returned last.
  virtual void TickSoon() = 0;
  // Runs a read of the store soon; the read may block. False: there is no room, and the read never
  // runs.
  virtual bool RunRead(std::function<void()> read) = 0;
  // A stream that Connect returned has closed. The feed's last call about that stream.
  virtual void StreamGone() = 0;
};

// The feed. It has no thread, timer, wire or clock of its own: calls drive it, and it asks for more
// of them through its scheduler.
//
// Thread-safe. Its lock guards only the register of streams, and is never held while a stream, a
// wire, the desk, the store or the scheduler is called. One thread at a time calls Tick; one thread
// at a time calls WakeStreams for each share.
class Feed {
 public:
  struct Options {
    storage::Engine* engine = nullptr;  // all of these outlive the feed
    storage::Sequencer* sequencer = nullptr;
    const base::Clock* clock = nullptr;
    base::Random* random = nullptr;  // used under a lock of the feed's own
    UseSink* use = nullptr;          // may be null: use is then dropped
    std::string brand;               // of the token strings, for validators to compare
    // Of the store's epoch: seals the proofs that followers get (R19). Null: none are given.
    std::shared_ptr<const lease::Sealer> sealer;
    // No process that served this store before can still grant a lease: see
    // History::PredecessorsDead (R16).
    bool predecessors_dead = false;
    // Makes the ledger; empty: an EnforcementLedger as it is. The simulation gives one that bends a
    // rule.
    std::function<std::unique_ptr<EnforcementLedger>(const EnforcementLedger::Options&,
                                                     const EnforcementLedger::Start&)>
        make_ledger;

    absl::Duration lease = absl::Seconds(30);
    absl::Duration ping_interval = absl::Seconds(5);  // at most lease / 3; longer in a large fleet:
    double max_pings_per_second = 2000;               // see PingIntervalFor
    absl::Duration usage_interval = absl::Seconds(10);
    double drift_bound = 0.001;
    absl::Duration ack_limit = absl::Seconds(10);  // A of R6
    absl::Duration write_window =
        absl::ZeroDuration();  // the most that T of R16 may be; zero: the lease, or 3 s if longer
    absl::Duration min_stream_age = absl::Minutes(5);  // a stream lives between these two
    absl::Duration max_stream_age = absl::Minutes(10);
    absl::Duration come_back_within = absl::Seconds(1);  // after it was sent away; jittered
    absl::Duration stall_limit = absl::Seconds(30);      // cuts a write not taken for this long
    absl::Duration no_progress_limit = absl::Seconds(30);
    absl::Duration pong_patience = absl::Seconds(1);  // FollowerStreamState::Options has it
    size_t max_followers = 20'000;
    // The streams are divided into this many shares; a thread of its own wakes each share.
    size_t wake_shares = 1;
    EventRing::Options ring;
    // How many of the newest revisions a start reads into the ring, where the ring has room for
    // them.
    int64_t preload_revisions = 16'384;
    // How many revisions a stream that is behind the ring reads at once, at most.
    size_t catch_up_revisions = 256;

    // A validator has proven that this epoch had another history than the store holds (R11, R19).
    // The feed grants nothing from then on; the process must stop writing until a new epoch is
    // taken. `why` is what the validator was told. Called once, on any thread. May be empty.
    std::function<void(const std::string& validator_id, const absl::Status& why)> on_rolled_back;
    // The store's tail skipped a revision, so that no validator could be told of it. Nothing is
    // granted from then on; the process must end, for only a start reads what was missed. Called at
    // most once for each gap, on the committing thread. May be empty.
    std::function<void(const absl::Status&)> on_fatal;
    // Called when a revision was declared enforced, with the time since its commit. For metrics;
    // may be empty.
    std::function<void(absl::Duration since_commit)> on_enforced;
    // The store's bindings or operator tokens have changed: whoever judges by them reads them anew,
    // before anything of that revision is told to anybody. On the committing thread. An error is as
    // bad as a gap in the tail (on_fatal). May be empty.
    std::function<absl::Status()> on_access_changed;
    // Whether the member of that name, known by the operator token of that public id (empty: by
    // none), may follow: asked as a stream is connected, and of all streams when bindings or
    // operator tokens have changed. Quick, thread-safe. May be empty: everybody may.
    std::function<absl::Status(const std::string& member, const std::string& operator_token_id)>
        may_follow;
    // A validator has told what its wall clock says (R20). Quick, and never calls back; it may come
    // with a stream's lock held. May be empty.
    std::function<void(const std::string& validator_id, absl::Time wall)> on_edge_time;
  };
  // OK; or INVALID_ARGUMENT (reason BAD_FLAG, field the option's name) for options that break a
  // rule.
  static absl::Status CheckOptions(const Options& options);

  // A start takes two steps. Between them lies the one synced write of R5, R7 and R16, which may
  // take its time: `command` must be committed before Start.
  struct FirstWrite {
    std::shared_ptr<storage::Command> command;
    absl::Duration longest_lease_before;
  };
  // REQUIRES: CheckOptions(options) is OK, which is for whoever chose them to ask, before anything
  // is touched. Errors: INVALID_ARGUMENT where something to outlive the feed is null; the store's.
  static absl::StatusOr<FirstWrite> PrepareStart(const Options& options);
  // Reads the roster (R15) and the meta record (R17), and begins to tail the store. `scheduler`
  // outlives the feed, and may be called before this returns. Errors: the store's.
  static absl::StatusOr<std::unique_ptr<Feed>> Start(Options options, FeedScheduler* scheduler,
                                                     const FirstWrite& written);
  // Stop()s.
  ~Feed();
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  // --- followers ------------------------------------------------------------------------------
  // A Follow call began. RESOURCE_EXHAUSTED (TOO_MANY_FOLLOWERS), UNAVAILABLE (DRAINING).
  absl::StatusOr<std::shared_ptr<FollowerStream>> Connect(std::shared_ptr<FollowWire> wire)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Sends GoAway to every follower, and refuses new ones. Idempotent.
  void BeginDrain() ABSL_LOCKS_EXCLUDED(mu_);
  // Cuts every stream. A stream that was let in a moment before BeginDrain may not be registered
  // yet, so a caller that waits for the last stream calls this again.
  void AbortStreams() ABSL_LOCKS_EXCLUDED(mu_);

  // --- what drives it -------------------------------------------------------------------------
  // There may be something to write for the streams of a share (0 to wake_shares - 1). Share 0 also
  // wakes the readers.
  void WakeStreams(size_t share) ABSL_LOCKS_EXCLUDED(mu_);
  // Time passes: handles lapses, timeouts, writes that are due, stalled streams. Returns when to
  // call it again, from a millisecond to a quarter of a second later.
  base::BootTime Tick() ABSL_LOCKS_EXCLUDED(mu_);
  // Answers every wait, waits for its writes under way, and ends the tail. No stream may be open,
  // no read under way, and no other call may run meanwhile. Idempotent.
  void Stop();

  // --- what it knows --------------------------------------------------------------------------
  // The desk: who may hold a lease, and which calls wait for enforcement.
  EnforcementDesk& desk() { return *desk_; }
  const EventRing& ring() const { return *ring_; }
  int64_t head() const { return ring_->head(); }
  const std::string& epoch() const { return history_.epoch; }
  // The store's past, as of the start.
  const History& history() const { return history_; }
  // As Hub's.
  absl::StatusOr<std::unique_ptr<FeedReader>> Subscribe(int64_t after, std::function<void()> wake);

  struct Stats {
    size_t followers = 0;         // streams that have said Hello
    size_t live_sessions = 0;     // may hold a lease, connected or not
    size_t pending_sessions = 0;  // sessions that have not acknowledged the head yet
    int64_t head = 0;
    int64_t enforced = 0;
    int64_t grants = 0;
    int64_t grants_refused = 0;
    int64_t lapses = 0;
    int64_t resets = 0;   // streams that began with a reset
    int64_t resumes = 0;  // streams that went on where the follower was
    int64_t cut = 0;      // streams ended because they did not read, or made no progress (R6)
    int64_t waiting = 0;  // WaitEnforced calls that wait
    size_t ring_bytes = 0;
    size_t ring_revisions = 0;
    bool rolled_back = false;  // a validator has seen more than the store holds (R11)
    bool tail_gap = false;     // the store's tail skipped a revision
    int64_t strangers = 0;     // Hellos refused because their past is not ours (R19)
  };
  Stats stats() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  friend class FollowerStream;
  Feed(Options options, FeedScheduler* scheduler);

  absl::Status Begin(absl::Duration longest_lease_before);
  // On the committing thread: serialises the entry once, notes it, and leaves the rest to other
  // threads.
  void OnEntry(const storage::TailEntry& entry);
  // Nothing of what comes after is known here: grants nothing more, and has the process end.
  void StopFor(const absl::Status& gap);
  // Sends away whoever may no longer follow. They are sent nothing of what comes next, so they
  // cannot acknowledge it, and a receipt for it waits until they hold no lease (R14).
  void JudgeStreams() ABSL_LOCKS_EXCLUDED(mu_);

  // --- for the streams, which call these without their lock -------------------------------------
  // The stream has said Hello: another stream of the same session is replaced.
  void OnGreeted(const std::shared_ptr<FollowerStream>& stream) ABSL_LOCKS_EXCLUDED(mu_);
  // The stream closed before it was registered.
  void ForgetGreeted(FollowerStream* stream) ABSL_LOCKS_EXCLUDED(mu_);
  // The stream's Hello names a brand of token strings.
  void OnBrand(const std::string& validator_id, const std::string& address,
               const std::string& brand) ABSL_LOCKS_EXCLUDED(news_mu_);
  // What the stream's Welcome says was decided.
  void OnWelcomed(bool resumes) ABSL_LOCKS_EXCLUDED(mu_);
  // R19: a validator proves that this epoch had another history.
  void OnForked(const std::string& validator_id, const absl::Status& refusal);
  // R19: a validator whose past is not ours was refused.
  void OnStranger(const std::string& validator_id, const std::string& address,
                  const absl::Status& refusal) ABSL_LOCKS_EXCLUDED(mu_);
  // Both read the store; `done` runs where the read does. False, and nothing runs: no room.
  bool ReadStore(int64_t after, std::function<void(CatchUp)> done);
  bool ReadFingerprint(int64_t revision, std::function<void(const KnownFingerprint&)> done);
  // The last that a stream does with the feed.
  void OnStreamClosed(FollowerStream* stream) ABSL_LOCKS_EXCLUDED(mu_);

  using Streams = std::map<uint64_t, std::shared_ptr<FollowerStream>>;  // by number
  std::vector<std::shared_ptr<FollowerStream>> AllStreams() ABSL_LOCKS_EXCLUDED(mu_);
  Streams& ShareOf(uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return shares_[number % shares_.size()];
  }
  absl::Duration Jitter(absl::Duration bound) ABSL_LOCKS_EXCLUDED(mu_);
  // A stream was cut: counts it, and tells of it.
  void OnCut(const std::string& validator_id, absl::string_view why)
      ABSL_LOCKS_EXCLUDED(mu_, news_mu_);
  // Tells what is new of the fleet.
  void ReviewFleet(base::BootTime now) ABSL_LOCKS_EXCLUDED(news_mu_);

  const Options options_;
  FeedScheduler* const scheduler_;
  History history_;
  std::unique_ptr<const ProofMaker> proofs_;
  int64_t ledger_head_ = 0;  // what the ledger began with
  std::unique_ptr<EventRing> ring_;
  std::unique_ptr<EnforcementDesk> desk_;
  std::unique_ptr<FeedReaders> readers_;
  std::unique_ptr<storage::Tail> tail_;
  base::BootTime next_stream_tick_;  // only Tick's thread uses these two
  base::BootTime next_fleet_review_;

  absl::Mutex news_mu_;
  FleetNews news_ ABSL_GUARDED_BY(news_mu_);

  absl::Mutex mu_;
  std::vector<Streams> shares_ ABSL_GUARDED_BY(mu_);
  uint64_t next_number_ ABSL_GUARDED_BY(mu_) = 0;
  size_t streams_ ABSL_GUARDED_BY(mu_) = 0;  // in shares_, or about to be
  std::map<lease::SessionId, uint64_t> newest_
      ABSL_GUARDED_BY(mu_);  // by session, the greeted stream
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  int64_t resets_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t resumes_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t cut_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t strangers_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t strangers_told_ ABSL_GUARDED_BY(mu_) = 0;  // of them, those that the log has told
  base::BootTime next_stranger_line_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_FEED_H_
