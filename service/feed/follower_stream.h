// The service's end of one Follow call: its state (pure) with a lock around it, and what it asks
// for.
#ifndef TOLLGATE_SERVICE_FEED_FOLLOWER_STREAM_H_
#define TOLLGATE_SERVICE_FEED_FOLLOWER_STREAM_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "service/feed/event_ring.h"
#include "service/feed/follow_wire.h"
#include "service/feed/follower_stream_state.h"
#include "service/feed/ledger/lessor.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {

class Feed;

// Thread-safe, but for the order of the wire's calls that net/reactor.h's BidiStream promises. Its
// lock is never held while the wire, the feed, the sequencer or a receipt's waiter is called: each
// of them may call back on the same thread.
class FollowerStream : public std::enable_shared_from_this<FollowerStream> {
 public:
  // Feed::Connect makes them. `feed` outlives every call but the destructor.
  FollowerStream(uint64_t number, FollowerStreamState::Options options, Feed* feed,
                 std::shared_ptr<FollowWire> wire);

  // --- for the wire ---------------------------------------------------------------------------
  // A message came.
  void OnRequest(const tollgate::v1::FollowRequest& request) ABSL_LOCKS_EXCLUDED(mu_);
  // What came is no FollowRequest: the call is refused.
  void OnGarbage() ABSL_LOCKS_EXCLUDED(mu_);
  // The client sends no more.
  void OnReadsDone() ABSL_LOCKS_EXCLUDED(mu_);
  // The wire is free: the next message's pieces, to be written laid end to end; false: nothing now.
  bool NextToWrite(std::vector<SharedBytes>* pieces) ABSL_LOCKS_EXCLUDED(mu_);
  // The call is over; the feed forgets it. The last call.
  void OnClosed() ABSL_LOCKS_EXCLUDED(mu_);

  // --- for the feed, and what drives it ---------------------------------------------------------
  // There may be something to write.
  void Wake() ABSL_LOCKS_EXCLUDED(mu_);
  // Tells the follower to go, and to come back no sooner than `retry_after`. The first reason
  // counts.
  void GoAway(absl::string_view reason, absl::Duration retry_after) ABSL_LOCKS_EXCLUDED(mu_);
  // Cuts the call.
  void Abort(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  // Time passes. True: it was cut, just now, because its client does not read (I5).
  bool Tick(base::BootTime now, absl::Duration stall_limit) ABSL_LOCKS_EXCLUDED(mu_);
  // Its place in the feed's register.
  uint64_t number() const { return number_; }
  // Whose stream it is, once it has said Hello.
  lease::SessionId session() const ABSL_LOCKS_EXCLUDED(mu_);
  // It was told to go for want of progress (R6), and Tick did not cut it.
  bool MadeNoProgress() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  std::shared_ptr<FollowWire> Wire() const ABSL_LOCKS_EXCLUDED(mu_);
  // Does what the state asks for. `request` is the message that it was handed; null: it was handed
  // the answer to kProve.
  void Act(FollowerStreamState::Received received, const tollgate::v1::FollowRequest* request)
      ABSL_LOCKS_EXCLUDED(mu_);
  void WriteRoster() ABSL_LOCKS_EXCLUDED(mu_);
  // Tells the feed, once, what the Welcome says.
  void TellWelcome() ABSL_LOCKS_EXCLUDED(mu_);

  const uint64_t number_;
  Feed* const feed_;

  mutable absl::Mutex mu_;
  std::shared_ptr<FollowWire> wire_ ABSL_GUARDED_BY(mu_);  // null once closed
  FollowerStreamState state_ ABSL_GUARDED_BY(mu_);
  bool welcome_told_ ABSL_GUARDED_BY(mu_) = false;
  bool roster_under_way_ ABSL_GUARDED_BY(mu_) = false;
  bool cut_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_FOLLOWER_STREAM_H_
