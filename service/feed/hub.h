// The feed's shell: streams, threads, the store's tail, the roster's writes, and those who wait
// for enforcement. What is decided is decided in event_ring.h, session.h and enforcement.h.
#ifndef TOLLGATE_SERVICE_FEED_HUB_H_
#define TOLLGATE_SERVICE_FEED_HUB_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/random.h"
#include "lease/caller_name.h"
#include "service/feed/enforcement.h"
#include "service/feed/event_ring.h"
#include "service/use/use_sink.h"
#include "storage/engine.h"
#include "storage/sequencer.h"
#include "tollgate/v1/edge_service.pb.h"
#include "tollgate/v1/enforcement.pb.h"

namespace tollgate {

// The wire's end of one Follow call, as the hub uses it: implemented by the reactor
// (net/reactor.h's BidiStream has these methods). Thread-safe; never called under a lock of the
// hub's.
class FollowCall {
 public:
  virtual ~FollowCall() = default;
  // There may be something to write: FollowStream::NextToWrite is asked as soon as the wire is
  // free.
  virtual void WakeCall() = 0;
  // Ends the call after the write under way. Also from inside NextToWrite. The first status wins.
  virtual void CloseCall(const absl::Status& status) = 0;
  // Ends the call at once, also where a write is stalled.
  virtual void AbortCall(const absl::Status& status) = 0;
  // Since when the write under way waits for the client.
  virtual absl::optional<BootTime> StalledSince() const = 0;
  // Where the client connects from, as the transport names it; for people.
  virtual std::string Address() const { return ""; }
  // Who the client is, as the transport knows it: what a session is bound to. Not empty.
  virtual std::string CallerName() const { return kLocalCaller; }
};

// The hub's end of one Follow call. Thread-safe, but for the order that BidiStream promises.
class FollowStream {
 public:
  virtual ~FollowStream() = default;
  // A message came.
  virtual void OnRequest(const tollgate::v1::FollowRequest& request) = 0;
  // What came is no FollowRequest: the call is refused.
  virtual void OnGarbage() = 0;
  // The client sends no more.
  virtual void OnReadsDone() = 0;
  // The wire is free: the next message's pieces, to be written laid end to end; false: nothing now.
  virtual bool NextToWrite(std::vector<SharedBytes>* pieces) = 0;
  // The call is over; the hub forgets it. The last call.
  virtual void OnClosed() = 0;
};

// A place in the feed for someone who is no validator (WatchEvents). Not thread-safe, apart from
// the wake-up; ends with its destructor, after which the wake-up is not called any more.
class FeedReader {
 public:
  virtual ~FeedReader() = default;
  // The next revisions with events, in order, without a gap, at most `max_revisions` (> 0) of
  // them; empty: nothing new yet. May read the store: not for a gRPC thread. OUT_OF_RANGE (reason
  // COMPACTED) where they are no longer kept.
  virtual absl::StatusOr<std::vector<SharedRevision>> Read(size_t max_revisions) = 0;
  // Everything up to here was read.
  virtual int64_t cursor() const = 0;
};

// The feed. Thread-safe.
class Hub {
 public:
  struct Options {
    Engine* engine = nullptr;  // outlive the hub, all of them
    Sequencer* sequencer = nullptr;
    const Clock* clock = nullptr;
    Random* random = nullptr;      // used under a lock of the hub's own
    Executor* executor = nullptr;  // for reads of old events
    UseSink* use = nullptr;        // may be null: use is then dropped
    std::string brand;             // of the token strings, for validators to compare

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
    absl::Duration stall_limit = absl::Seconds(30);  // a write not taken for this long is cut
    absl::Duration no_progress_limit = absl::Seconds(30);
    size_t max_followers = 20'000;
    int wake_threads = 2;
    EventRing::Options ring;
    // So many of the newest revisions are read into the ring at a start.
    int64_t preload_revisions = 16'384;

    // A validator has seen more of this epoch than the store holds (R11). The hub grants nothing
    // from then on; the process must stop writing until a new epoch is taken. Called once, on any
    // thread. May be empty.
    std::function<void(const std::string& validator_id, int64_t seen, int64_t head)> on_rolled_back;
    // The store's tail skipped a revision, so that no validator could be told of it. Nothing is
    // granted from then on; the process must end, for only a start reads what was missed. Called at
    // most once for each gap, on the committing thread. May be empty.
    std::function<void(const absl::Status&)> on_fatal;
    // A revision was declared enforced: how long after its commit. For metrics; may be empty.
    std::function<void(absl::Duration since_commit)> on_enforced;
  };

  // Makes one synced write (R7, R16; it raises the longest lease, R5), reads the roster (R15) and
  // the meta record (R17), and begins to tail the store. INVALID_ARGUMENT (reason BAD_FLAG, field
  // the flag's name) for options that break a rule; the store's errors.
  static absl::StatusOr<std::unique_ptr<Hub>> Start(Options options);
  // OK, or why Start would refuse them.
  static absl::Status CheckOptions(const Options& options);

  // Stop()s.
  virtual ~Hub() = default;

  // --- followers ------------------------------------------------------------------------------
  // A Follow call began. RESOURCE_EXHAUSTED (TOO_MANY_FOLLOWERS), UNAVAILABLE (DRAINING).
  virtual absl::StatusOr<std::shared_ptr<FollowStream>> Connect(
      std::shared_ptr<FollowCall> call) = 0;

  // --- enforcement ----------------------------------------------------------------------------
  // Calls `done` once with the receipt: when the revision is enforced, or as it stands when
  // `timeout` has passed or the hub stops. It may be called before this returns, on this thread;
  // else on any, without a lock of the hub held. `done` must be quick: a gRPC Finish is. Returns
  // the place that it waits at, for EndWait; none where it was answered at once.
  virtual WaitId WaitEnforced(const ReceiptQuestion& question, absl::Duration timeout,
                              std::function<void(tollgate::v1::Receipt)> done) = 0;
  // Nobody waits there any more: the place is free at once, and `done` is let go. It may be running
  // already, and then runs on. Nothing happens where the wait has ended, or took no place.
  virtual void EndWait(const WaitId& id) = 0;
  // The receipt as it stands.
  virtual tollgate::v1::Receipt ReceiptFor(const ReceiptQuestion& question) = 0;
  // The highest revision declared enforced; 0: none yet since the start.
  virtual int64_t enforced_revision() = 0;

  // --- the feed -------------------------------------------------------------------------------
  // Reads on after `after` (a revision, at most head()). `wake` is called when there may be
  // something new, on a thread of the hub's, at least once after every revision with events that
  // Read() has not returned; it must be quick and must not end the reader. OUT_OF_RANGE: after >
  // head().
  virtual absl::StatusOr<std::unique_ptr<FeedReader>> Subscribe(int64_t after,
                                                                std::function<void()> wake) = 0;
  // The newest durable revision.
  virtual int64_t head() const = 0;
  virtual const std::string& epoch() const = 0;

  // --- for people and metrics -----------------------------------------------------------------
  struct Stats {
    size_t followers = 0;         // streams that have said Hello
    size_t live_sessions = 0;     // may hold a lease, connected or not
    size_t pending_sessions = 0;  // the head still waits for them
    int64_t head = 0;
    int64_t enforced = 0;
    int64_t grants = 0;
    int64_t grants_refused = 0;
    int64_t lapses = 0;
    int64_t resets = 0;
    int64_t resumes = 0;
    int64_t cut = 0;      // streams ended for not reading, or for not progressing (R6)
    int64_t waiting = 0;  // WaitEnforced calls that wait
    size_t ring_bytes = 0;
    size_t ring_revisions = 0;
    bool rolled_back = false;
  };
  virtual Stats stats() = 0;
  // All sessions known, by id.
  virtual std::vector<SessionView> Sessions() = 0;

  // Sends GoAway to every follower and refuses new ones; streams end as their last write is
  // taken, and those left at the deadline are cut. Returns once none is left. Idempotent.
  virtual void Drain(absl::Duration timeout) = 0;
  // Drains without patience, answers all who wait, ends the threads. Idempotent.
  virtual void Stop() = 0;
};

}  // namespace tollgate

#endif  // TOLLGATE_SERVICE_FEED_HUB_H_
