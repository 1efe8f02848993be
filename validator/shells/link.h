// The Follow stream, as a thin shell around the validator's core: it opens streams when the core
// says so, moves messages both ways, and wakes the core at the time that the core asks for. The
// core decides everything else (follower.h): what a message means, when to ping, when a stream is
// half-open, and how long to wait before the next one.
//
//   core: connect  --> a stream, StreamConnected --> Hello is the first write
//   message        --> StreamMessage  --> what it hands out is queued, and written in this order
//   wake_at        --> Tick           --> the same
//   stream ended   --> StreamClosed   --> wake_at: the backoff
//   Goodbye        --> last use, Goodbye, half-close; the server ends the stream
#ifndef TOLLGATE_VALIDATOR_SHELLS_LINK_H_
#define TOLLGATE_VALIDATOR_SHELLS_LINK_H_

#include <grpcpp/channel.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "tollgate/v1/edge_service.grpc.pb.h"
#include "validator/core/validator.h"
#include "validator/shells/service_reach.h"

namespace tollgate::validator {

// Thread-safe. One link a validator.
class Link : public std::enable_shared_from_this<Link> {
 public:
  struct Options {
    // Both outlive Stop().
    Validator* validator = nullptr;
    const base::Clock* clock = nullptr;
    // Makes a channel to the service, on a connection of its own. Called at the start, and again
    // after a stream was given up, or its channel could not connect. A stream's connection may be
    // half-open, which gRPC finds out much later, and a new stream on it would hear nothing either;
    // and a channel that could not connect waits by itself before its next attempt, beside the
    // core's backoff.
    std::function<std::shared_ptr<grpc::Channel>()> make_channel;
    // Runs on one of gRPC's threads when the service is followed; must not block. May be empty.
    std::function<void()> on_followed;
    // Is told how the streams fare, and tells it on. Outlives Stop().
    ServiceReach* reach = nullptr;
  };

  // Begins to connect at once. The caller must Stop the link.
  static std::shared_ptr<Link> Start(Options options);
  ~Link();

  // R4: the caller has answered its last decision. Reports the last use, says goodbye where that
  // may be said (Validator::Goodbye), and waits for at most `limit` until the service has taken it
  // (it then ends the stream), and no longer than two seconds for one that says nothing. False:
  // none was said, or it may not have taken it; the service then waits for the lease to run out.
  // Once, before Stop.
  bool Goodbye(absl::Duration limit) ABSL_LOCKS_EXCLUDED(mu_);

  // Cancels the open streams and waits for their ends. Afterwards it neither touches the validator
  // nor holds a channel. Idempotent. Must not be called on a gRPC thread.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Stream;
  struct Connection {
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<tollgate::v1::EdgeService::Stub> stub;
  };
  // Calls of streams, made once mu_ is released, because a stream writes on whichever thread wakes
  // it.
  struct StreamCalls {
    std::shared_ptr<Stream> wake;
    std::shared_ptr<Stream> cancel;
    std::shared_ptr<Stream> open;
    bool finish = false;
  };

  explicit Link(Options options);

  // Called by streams.
  bool Next(uint64_t stream, tollgate::v1::FollowRequest* out) ABSL_LOCKS_EXCLUDED(mu_);
  void OnMessage(uint64_t stream, const tollgate::v1::FollowResponse& message)
      ABSL_LOCKS_EXCLUDED(mu_);
  void OnEnded(uint64_t stream, std::shared_ptr<Connection> connection, const absl::Status& status)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Queues the messages that the core handed out, and notes its other wishes. Returns the calls to
  // be made afterwards without the lock (MakeCalls).
  StreamCalls QueueActions(FollowerActions actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MakeCalls(StreamCalls calls) ABSL_LOCKS_EXCLUDED(mu_);
  void WakeAt(base::BootTime at);
  // Has the core ticked as soon as may be.
  void Hurry();
  void TimerLoop();
  bool Quiet() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return open_ == 0; }

  const Options options_;

  // Held around each call of the core together with the queueing of its messages, so that messages
  // are written in the order in which the core made them.
  absl::Mutex mu_;
  // No channel may be released on one of gRPC's threads (net/reactor.h, ClientCallContext). An
  // ended stream therefore leaves its connection in done_with_, for the timer's thread or Stop.
  std::shared_ptr<Connection> connection_ ABSL_GUARDED_BY(mu_);
  std::vector<std::shared_ptr<Connection>> done_with_ ABSL_GUARDED_BY(mu_);
  bool connection_doubted_ ABSL_GUARDED_BY(mu_) = false;
  std::shared_ptr<Stream> stream_ ABSL_GUARDED_BY(mu_);                 // the present one
  uint64_t number_ ABSL_GUARDED_BY(mu_) = 0;                            // its number
  std::deque<tollgate::v1::FollowRequest> queue_ ABSL_GUARDED_BY(mu_);  // for it; bounded
  int open_ ABSL_GUARDED_BY(mu_) = 0;        // streams that have not ended
  bool heard_ ABSL_GUARDED_BY(mu_) = false;  // on the present stream
  // When anything was heard last, on the steady clock.
  std::chrono::steady_clock::time_point heard_at_ ABSL_GUARDED_BY(mu_);
  bool told_to_leave_ ABSL_GUARDED_BY(mu_) = false;  // by a GoAway on the present stream
  std::string why_left_ ABSL_GUARDED_BY(mu_);        // why the core gave the present stream up
  bool goodbye_ ABSL_GUARDED_BY(mu_) = false;
  bool goodbye_taken_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;

  // The timer waits on the steady clock (absl's deadlines follow the wall clock). timer_mu_ guards
  // wake_at_, hurried_ and timer_stopped_; it is acquired after mu_, never before.
  std::mutex timer_mu_;
  std::condition_variable timer_changed_;
  base::BootTime wake_at_ = base::BootTime::InfiniteFuture();
  bool hurried_ = false;
  bool timer_stopped_ = false;
  std::thread timer_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_LINK_H_
