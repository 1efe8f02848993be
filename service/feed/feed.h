// The feed: all that is decided about streams, the store's tail and who is woken when. What runs it
// (threads and timers in hub.cc, virtual time in tests/simulation) decides nothing.
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
#include "service/feed/follow_wire.h"
#include "service/feed/ledger/lessor.h"
#include "service/use/use_sink.h"
#include "storage/engine.h"
#include "storage/sequencer.h"

namespace tollgate::service {

class FollowerStream;

// When the feed's work is done, and on which thread. Thread-safe. Each call is quick, only notes
// what is asked for, and never calls back into the feed before it has returned; it may come on the
// committing thread, and with a stream's lock held.
class FeedScheduler {
 public:
  virtual ~FeedScheduler() = default;
  // FollowerStream::Wake of this stream is to be called soon.
  virtual void WakeStreamSoon(std::shared_ptr<FollowerStream> stream) = 0;
  // Feed::WakeStreams is to be called soon, for every share.
  virtual void WakeAllSoon() = 0;
  // Feed::Tick is to be called soon, however late it asked to be called the last time.
  virtual void TickSoon() = 0;
  // Runs a read of the store, which may block, soon. False: there is no room, and it never runs.
  virtual bool RunRead(std::function<void()> read) = 0;
  // One of the streams that Connect gave has closed. The last that the feed does for that stream.
  virtual void StreamGone() = 0;
};

// The feed. No thread, no timer, no wire and no clock of its own: it is driven by calls, and asks
// for more of them through its scheduler.
//
// Thread-safe. Its lock guards the register of streams alone and is never held while a stream, a
// wire, the desk, the store or the scheduler is called. Tick, and WakeStreams of one share, are
// each called by one thread at a time.
class Feed {
 public:
  struct Options {
    storage::Engine* engine = nullptr;  // outlive the feed, all of them
    storage::Sequencer* sequencer = nullptr;
    const base::Clock* clock = nullptr;
    base::Random* random = nullptr;  // used under a lock of the feed's own
    UseSink* use = nullptr;          // may be null: use is then dropped
    std::string brand;               // of the token strings, for validators to compare
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
        absl::ZeroDuration();  // T of R16, at most: (zero:) the lease, or 3 s if longer
    absl::Duration min_stream_age = absl::Minutes(5);  // a stream lives between these two
    absl::Duration max_stream_age = absl::Minutes(10);
    absl::Duration come_back_within = absl::Seconds(1);  // after it was sent away: jittered
    absl::Duration stall_limit = absl::Seconds(30);      // a write not taken for this long is cut
    absl::Duration no_progress_limit = absl::Seconds(30);
    absl::Duration pong_patience = absl::Seconds(1);  // FollowerStreamState::Options has it
    size_t max_followers = 20'000;
    // Streams are woken in so many shares, each by a thread of its own.
    size_t wake_shares = 1;
    EventRing::Options ring;
    // So many of the newest revisions are read into the ring at a start.
    int64_t preload_revisions = 16'384;
    // A stream that is behind the ring reads at most so many revisions at once.
    size_t catch_up_revisions = 256;

    // A validator has seen more of this epoch than the store holds (R11). The feed grants nothing
    // from then on; the process must stop writing until a new epoch is taken. Called once, on any
    // thread. May be empty.
    std::function<void(const std::string& validator_id, int64_t seen, int64_t head)> on_rolled_back;
    // The store's tail skipped a revision, so that no validator could be told of it. Nothing is
    // granted from then on; the process must end, for only a start reads what was missed. Called at
    // most once for each gap, on the committing thread. May be empty.
    std::function<void(const absl::Status&)> on_fatal;
    // A revision was declared enforced: how long after its commit. For metrics; may be empty.
    std::function<void(absl::Duration since_commit)> on_enforced;
    // A validator has told what its wall clock says (R20). Quick, and never calls back; it may come
    // with a stream's lock held. May be empty.
    std::function<void(const std::string& validator_id, absl::Time wall)> on_edge_time;
  };
  // OK; or INVALID_ARGUMENT (reason BAD_FLAG, field the flag's name) for options that break a rule.
  static absl::Status CheckOptions(const Options& options);

  // A start takes two steps, for between them lies the one synced write of R5, R7 and R16, which
  // may take its time: `command` is to be committed before Start.
  struct FirstWrite {
    std::shared_ptr<storage::Command> command;
    absl::Duration longest_lease_before;
  };
  // Errors: CheckOptions'; INVALID_ARGUMENT where something to outlive the feed is null; the
  // store's.
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
  // Cuts every stream there is. One that was let in a moment before BeginDrain may not be among
  // them yet: whoever waits for the last one calls it again.
  void AbortStreams() ABSL_LOCKS_EXCLUDED(mu_);

  // --- what drives it -------------------------------------------------------------------------
  // There may be something to write for the streams of a share (0 to wake_shares - 1). The readers
  // are woken with the first.
  void WakeStreams(size_t share) ABSL_LOCKS_EXCLUDED(mu_);
  // Time passes: lapses, timeouts, writes that are due, stalled streams. Returns when to call it
  // again, from a millisecond to a quarter of a second later.
  base::BootTime Tick() ABSL_LOCKS_EXCLUDED(mu_);
  // Answers all who wait, waits for its writes under way, and ends the tail. No stream may be open,
  // no read under way, and nothing may call in meanwhile. Idempotent.
  void Stop();

  // --- what it knows --------------------------------------------------------------------------
  // Who may hold a lease, and those who wait for enforcement.
  EnforcementDesk& desk() { return *desk_; }
  const EventRing& ring() const { return *ring_; }
  int64_t head() const { return ring_->head(); }
  const std::string& epoch() const { return epoch_; }
  // As Hub's.
  absl::StatusOr<std::unique_ptr<FeedReader>> Subscribe(int64_t after, std::function<void()> wake);

  struct Stats {
    size_t followers = 0;         // streams that have said Hello
    size_t live_sessions = 0;     // may hold a lease, connected or not
    size_t pending_sessions = 0;  // the head still waits for them
    int64_t head = 0;
    int64_t enforced = 0;
    int64_t grants = 0;
    int64_t grants_refused = 0;
    int64_t lapses = 0;
    int64_t resets = 0;   // streams that began with a reset
    int64_t resumes = 0;  // streams that went on where the follower was
    int64_t cut = 0;      // streams ended for not reading, or for not progressing (R6)
    int64_t waiting = 0;  // WaitEnforced calls that wait
    size_t ring_bytes = 0;
    size_t ring_revisions = 0;
    bool rolled_back = false;  // a validator has seen more than the store holds (R11)
    bool tail_gap = false;     // the store's tail skipped a revision
  };
  Stats stats() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  friend class FollowerStream;
  Feed(Options options, FeedScheduler* scheduler);

  absl::Status Begin(absl::Duration longest_lease_before);
  // On the committing thread: serialises once, notes it, and leaves the rest to others.
  void OnEntry(const storage::TailEntry& entry);

  // --- for the streams, which call without their lock ------------------------------------------
  // It said Hello: another stream of the same session is replaced.
  void OnGreeted(const std::shared_ptr<FollowerStream>& stream) ABSL_LOCKS_EXCLUDED(mu_);
  // What its Welcome says was decided.
  void OnWelcomed(bool resumes) ABSL_LOCKS_EXCLUDED(mu_);
  // R11.
  void OnFuture(const std::string& validator_id, int64_t seen);
  // Reads the store; `done` runs where the read does. False, and nothing runs: no room.
  bool ReadStore(int64_t after, std::function<void(CatchUp)> done);
  // The last that a stream does with the feed.
  void OnStreamClosed(FollowerStream* stream) ABSL_LOCKS_EXCLUDED(mu_);

  using Streams = std::map<uint64_t, std::shared_ptr<FollowerStream>>;  // by number
  std::vector<std::shared_ptr<FollowerStream>> AllStreams() ABSL_LOCKS_EXCLUDED(mu_);
  Streams& ShareOf(uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return shares_[number % shares_.size()];
  }
  absl::Duration Jitter(absl::Duration bound) ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  FeedScheduler* const scheduler_;
  std::string epoch_;
  int64_t ledger_head_ = 0;  // what the ledger began with
  std::unique_ptr<EventRing> ring_;
  std::unique_ptr<EnforcementDesk> desk_;
  std::unique_ptr<FeedReaders> readers_;
  std::unique_ptr<storage::Tail> tail_;
  base::BootTime next_stream_tick_;  // of Tick's thread

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
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_FEED_H_
