// The feed as the service runs it: a Feed on threads of its own.
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
#include "base/executor.h"
#include "service/feed/feed.h"
#include "service/feed/feed_reader.h"
#include "service/feed/follow_wire.h"
#include "service/feed/ledger/enforcement.h"
#include "tollgate/v1/enforcement.pb.h"

namespace tollgate::service {

// The feed. Thread-safe. All decisions are made in feed.h.
class Hub {
 public:
  struct Options : Feed::Options {
    base::Executor* executor = nullptr;  // for reads of old events; outlives the hub
    int wake_threads = 2;                // wake_shares is set to it
  };

  // Makes one synced write (R7, R16; it raises the longest lease, R5), reads the roster (R15) and
  // the meta record (R17), and begins to tail the store. REQUIRES: CheckOptions(options) is OK.
  // Errors: INVALID_ARGUMENT where something to outlive the hub is null; the store's.
  static absl::StatusOr<std::unique_ptr<Hub>> Start(Options options);
  // OK; or INVALID_ARGUMENT (reason BAD_FLAG, field the option's name) for options that break a
  // rule.
  static absl::Status CheckOptions(const Options& options);

  // Stop()s.
  virtual ~Hub() = default;

  // --- followers ------------------------------------------------------------------------------
  // A Follow call began. RESOURCE_EXHAUSTED (TOO_MANY_FOLLOWERS), UNAVAILABLE (DRAINING).
  virtual absl::StatusOr<std::shared_ptr<FollowerStream>> Connect(
      std::shared_ptr<FollowWire> wire) = 0;

  // --- enforcement ----------------------------------------------------------------------------
  // Calls `done` once with the receipt: when the revision is enforced, or, with the receipt as it
  // stands, when `timeout` has passed or the hub stops. `done` may run before this returns, on this
  // thread; otherwise it runs on any thread, with no lock of the hub held. `done` must be quick: a
  // gRPC Finish is. Returns the wait's place, for EndWait; number 0 where `done` has run already.
  virtual WaitId WaitEnforced(const ReceiptQuestion& question, absl::Duration timeout,
                              std::function<void(tollgate::v1::Receipt)> done) = 0;
  // Gives up a wait: its place is free at once, and `done` is released. A `done` that is already
  // running runs on. Does nothing where the wait has ended, or took no place.
  virtual void EndWait(const WaitId& id) = 0;
  // The receipt as it stands.
  virtual tollgate::v1::Receipt ReceiptFor(const ReceiptQuestion& question) = 0;
  // The highest revision declared enforced; 0: none since the start.
  virtual int64_t enforced_revision() = 0;

  // --- the feed -------------------------------------------------------------------------------
  // Reads the feed after revision `after` (at most head()). `wake` is called when there may be
  // something new, on a thread of the hub's, at least once after every revision with events that
  // Read() has not returned. `wake` must be quick and must not destroy the reader. OUT_OF_RANGE:
  // after > head().
  virtual absl::StatusOr<std::unique_ptr<FeedReader>> Subscribe(int64_t after,
                                                                std::function<void()> wake) = 0;
  // The newest durable revision.
  virtual int64_t head() const = 0;
  virtual const std::string& epoch() const = 0;
  // The store's past, as of the start.
  virtual const History& history() const = 0;

  // --- for people and metrics -----------------------------------------------------------------
  using Stats = Feed::Stats;
  virtual Stats stats() = 0;
  // All known sessions, by id.
  virtual std::vector<SessionView> Sessions() = 0;
  // Has a missing validator forgotten, with an audit entry; `done` is called once, on any thread.
  // Errors: as EnforcementLedger::BeginForget, and the sequencer's.
  virtual void ForgetValidator(const ForgetQuestion& question,
                               std::function<void(absl::StatusOr<storage::Committed>)> done) = 0;

  // Sends GoAway to every follower and refuses new ones. A stream ends when its last write is
  // taken; a stream that is left at the deadline is cut. Returns once no stream is left.
  // Idempotent.
  virtual void Drain(absl::Duration timeout) = 0;
  // Cuts every stream, answers every wait, ends the threads. Idempotent; when two calls overlap,
  // both return once all of that is done.
  virtual void Stop() = 0;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_HUB_H_
