// The service's end of one Follow call: its pure state, a lock around the state, and the calls that
// the state asks for.
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
// lock is never held while the wire, the feed, the sequencer or a receipt's waiter is called,
// because each of them may call back on the same thread.
class FollowerStream : public std::enable_shared_from_this<FollowerStream> {
 public:
  // Made by Feed::Connect. `feed` outlives every call but the destructor.
  FollowerStream(uint64_t number, FollowerStreamState::Options options, Feed* feed,
                 std::shared_ptr<FollowWire> wire);

  // --- for the wire ---------------------------------------------------------------------------
  // A message has arrived.
  void OnRequest(const tollgate::v1::FollowRequest& request) ABSL_LOCKS_EXCLUDED(mu_);
  // Bytes that are not a FollowRequest have arrived: the call is refused.
  void OnGarbage() ABSL_LOCKS_EXCLUDED(mu_);
  // The client sends no more.
  void OnReadsDone() ABSL_LOCKS_EXCLUDED(mu_);
  // The wire is free: gives the pieces of the next message, to be written end to end; false: there
  // is nothing to write now.
  bool NextToWrite(std::vector<SharedBytes>* pieces) ABSL_LOCKS_EXCLUDED(mu_);
  // The call is over, and the feed forgets the stream. The last call.
  void OnClosed() ABSL_LOCKS_EXCLUDED(mu_);

  // --- for the feed, and what drives it ---------------------------------------------------------
  // There may be something to write.
  void Wake() ABSL_LOCKS_EXCLUDED(mu_);
  // Tells the follower to go away, and to come back no sooner than `retry_after`. The first reason
  // counts.
  void GoAway(absl::string_view reason, absl::Duration retry_after) ABSL_LOCKS_EXCLUDED(mu_);
  // The client may no longer follow: it is sent nothing more, and the call ends with `status`.
  void Forbid(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  // Cuts the call.
  void Abort(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  // Time passes. True: the stream was cut just now, because its client does not read (I5).
  bool Tick(base::BootTime now, absl::Duration stall_limit) ABSL_LOCKS_EXCLUDED(mu_);
  // The stream's number in the feed's register.
  uint64_t number() const { return number_; }
  // The client's name as bindings know it.
  const std::string& member() const { return member_; }
  // FollowWire::OperatorTokenId.
  const std::string& operator_token_id() const { return operator_token_id_; }
  // The session whose stream this is, once the client has said Hello.
  lease::SessionId session() const ABSL_LOCKS_EXCLUDED(mu_);
  // The follower was told to go away for want of progress (R6), and Tick did not cut the stream.
  bool MadeNoProgress() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  std::shared_ptr<FollowWire> Wire() const ABSL_LOCKS_EXCLUDED(mu_);
  // Does what the state asks for. `request` is the message that it was handed; null: it was handed
  // the answer to kProve.
  void Act(FollowerStreamState::Received received, const tollgate::v1::FollowRequest* request)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The desk and the feed know the session; OnClosed takes it back from them. False: it has closed
  // already, and the caller does.
  bool Register() ABSL_LOCKS_EXCLUDED(mu_);
  void WriteRoster() ABSL_LOCKS_EXCLUDED(mu_);
  // Tells the feed, once, what the Welcome says.
  void TellWelcome() ABSL_LOCKS_EXCLUDED(mu_);

  const uint64_t number_;
  Feed* const feed_;
  const std::string member_;
  const std::string operator_token_id_;

  mutable absl::Mutex mu_;
  std::shared_ptr<FollowWire> wire_ ABSL_GUARDED_BY(mu_);  // null once closed
  FollowerStreamState state_ ABSL_GUARDED_BY(mu_);
  bool welcome_told_ ABSL_GUARDED_BY(mu_) = false;
  bool roster_under_way_ ABSL_GUARDED_BY(mu_) = false;
  bool cut_ ABSL_GUARDED_BY(mu_) = false;
  bool registered_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_FOLLOWER_STREAM_H_
