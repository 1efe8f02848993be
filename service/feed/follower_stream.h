// One Follow call at the hub's end: the session (pure) with a lock around it, and what it asks for.
#ifndef TOLLGATE_SERVICE_FEED_FOLLOWER_STREAM_H_
#define TOLLGATE_SERVICE_FEED_FOLLOWER_STREAM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "service/feed/enforcement_desk.h"
#include "service/feed/hub.h"
#include "service/feed/session.h"
#include "service/use/use_sink.h"

namespace tollgate {

class FollowerStream;

// What a stream needs of the hub. Thread-safe; never called under a stream's lock.
class StreamHost {
 public:
  virtual ~StreamHost() = default;
  // It said Hello: another stream of the same session is replaced.
  virtual void OnGreeted(const std::shared_ptr<FollowerStream>& stream, bool resumes) = 0;
  // R11.
  virtual void OnFuture(const std::string& validator_id, int64_t seen) = 0;
  // Reads the store on the executor; `done` runs there. False, and nothing runs: no room.
  virtual bool ReadStore(int64_t after, std::function<void(CatchUp)> done) = 0;
  // Wakes the stream from a thread of the hub's.
  virtual void WakeLater(const std::shared_ptr<FollowerStream>& stream) = 0;
  virtual void OnClosed(FollowerStream* stream) = 0;
};

// Thread-safe. Its lock is never held while the call, the host, the sequencer or a receipt's waiter
// is called: each of them may call back on the same thread.
class FollowerStream : public FollowStream, public std::enable_shared_from_this<FollowerStream> {
 public:
  FollowerStream(uint64_t number, Session::Options options, const EventRing* ring,
                 EnforcementDesk* desk, StreamHost* host, UseSink* use, const Clock* clock,
                 std::shared_ptr<FollowCall> call);

  void OnRequest(const tollgate::v1::FollowRequest& request) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnGarbage() override ABSL_LOCKS_EXCLUDED(mu_);
  void OnReadsDone() override ABSL_LOCKS_EXCLUDED(mu_);
  bool NextToWrite(std::vector<SharedBytes>* pieces) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnClosed() override ABSL_LOCKS_EXCLUDED(mu_);

  // There may be something to write.
  void Wake() ABSL_LOCKS_EXCLUDED(mu_);
  void GoAway(absl::string_view reason, absl::Duration retry_after) ABSL_LOCKS_EXCLUDED(mu_);
  void Abort(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  // Time passes. True: it was cut because its client does not read (I5).
  bool Tick(BootTime now, absl::Duration stall_limit) ABSL_LOCKS_EXCLUDED(mu_);

  uint64_t number() const { return number_; }
  // Of a stream that was OnGreeted.
  SessionId key() const ABSL_LOCKS_EXCLUDED(mu_);
  // It was told to go for want of progress (R6), and Tick did not cut it.
  bool MadeNoProgress() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  std::shared_ptr<FollowCall> Call() const ABSL_LOCKS_EXCLUDED(mu_);
  void WriteRoster() ABSL_LOCKS_EXCLUDED(mu_);

  const uint64_t number_;
  EnforcementDesk* const desk_;
  StreamHost* const host_;
  UseSink* const use_;
  const Clock* const clock_;

  mutable absl::Mutex mu_;
  std::shared_ptr<FollowCall> call_ ABSL_GUARDED_BY(mu_);  // null once closed
  Session session_ ABSL_GUARDED_BY(mu_);
  bool roster_under_way_ ABSL_GUARDED_BY(mu_) = false;
  bool cut_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace tollgate

#endif  // TOLLGATE_SERVICE_FEED_FOLLOWER_STREAM_H_
