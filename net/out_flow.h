// The writing half of a stream: one write in flight, messages pulled when the wire is free, one
// end.
#ifndef TOLLGATE_NET_OUT_FLOW_H_
#define TOLLGATE_NET_OUT_FLOW_H_

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "base/invariant.h"

namespace tollgate::net {

// Shared by the stream bases of reactor.h. States:
//
//   idle --Wake--> pulling --a message--> writing --written--> pulling …
//                     |  ^-- Wake meanwhile: pull once more
//                     |--nothing--> idle
//   any --Close/Break--> (after the pull or write under way) --> finished: WireFinish, exactly once
//
// While the flow is not finished, the RPC cannot be done (server: Finish was not called; client: a
// hold is in place), so a write begun on any thread reaches a live stream. gRPC is called outside
// the lock.
template <class Out>
class OutFlow {
 public:
  // There may be something to write. Cheap when a write is under way. Thread-safe, but must not be
  // called inside NextToWrite.
  void Wake() { Pump(); }

  // Ends the stream after the write under way, if any; NextToWrite is not called again. The first
  // status wins. Thread-safe; may be called inside NextToWrite.
  void Close(absl::Status status) { End(std::move(status), /*drain=*/false, /*broken=*/false); }

  // Ends the stream once NextToWrite has nothing left, so that a farewell still goes out.
  void CloseWhenDrained(absl::Status status) {
    End(std::move(status), /*drain=*/true, /*broken=*/false);
  }

  // True once an end was requested, or has come. Thread-safe.
  bool closing() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return end_.has_value();
  }

  // Since when the write under way has waited for the peer; unset when no write is under way, or no
  // clock was given. The stream's owner Abort()s a stream whose write is stalled for too long.
  absl::optional<base::BootTime> write_in_flight_since() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (!writing_) return absl::nullopt;
    return writing_since_;
  }

 protected:
  explicit OutFlow(const base::Clock* clock) : clock_(clock) {}
  virtual ~OutFlow() = default;

  // The wire is free. Puts the next message into *out and returns true; or returns false: there is
  // nothing to write until Wake() is called. One call at a time, on gRPC's thread or on a thread
  // that called Wake. Must not block. A message that it returns while the stream is being closed
  // may never be written.
  virtual bool NextToWrite(Out* out) = 0;

  // Hands a message to gRPC. `message` lives until WireWritten.
  virtual void WireWrite(const Out* message) = 0;
  // Tells gRPC that no write is under way, and none will follow. `broken`: the peer is gone.
  // Exactly once.
  virtual void WireFinish(absl::Status status, bool broken) = 0;

  // Begins the flow: nothing is pulled and nothing ends before it.
  void StartFlow() ABSL_LOCKS_EXCLUDED(mu_) {
    {
      absl::MutexLock lock(&mu_);
      started_ = true;
    }
    Pump();
  }

  // gRPC says that the write is over.
  void WireWritten(bool ok) ABSL_LOCKS_EXCLUDED(mu_) {
    out_ = Out();  // still ours alone: writing_ is set
    {
      absl::MutexLock lock(&mu_);
      TOLLGATE_INVARIANT(writing_ && !finished_,
                         "a write that ends was under way, on a live stream");
      writing_ = false;
      if (!ok) BreakLocked(absl::CancelledError("the peer is gone"));
    }
    Pump();
  }

  // The peer is gone: no more is pulled, and the flow ends without draining.
  void Break(absl::Status status) { End(std::move(status), /*drain=*/false, /*broken=*/true); }

 private:
  void End(absl::Status status, bool drain, bool broken) ABSL_LOCKS_EXCLUDED(mu_) {
    {
      absl::MutexLock lock(&mu_);
      if (broken) {
        BreakLocked(std::move(status));
      } else if (!end_.has_value()) {
        end_ = std::move(status);
        drain_ = drain;
      } else if (!drain) {
        drain_ = false;
      }
    }
    Pump();
  }

  void BreakLocked(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!end_.has_value()) end_ = std::move(status);
    drain_ = false;
    broken_ = true;
  }

  void Pump() ABSL_LOCKS_EXCLUDED(mu_) {
    mu_.Lock();
    if (pulling_) {
      again_ = true;
      mu_.Unlock();
      return;
    }
    if (!started_ || writing_ || finished_) {
      mu_.Unlock();
      return;
    }
    pulling_ = true;
    while (true) {
      if (end_.has_value() && !drain_) break;
      again_ = false;
      mu_.Unlock();
      const bool got = NextToWrite(&out_);
      mu_.Lock();
      if (end_.has_value() && !drain_) break;
      if (got) {
        writing_ = true;
        pulling_ = false;
        if (clock_ != nullptr) writing_since_ = clock_->Now();
        mu_.Unlock();
        WireWrite(&out_);
        return;
      }
      if (again_) continue;
      if (end_.has_value()) break;
      pulling_ = false;
      mu_.Unlock();
      return;
    }
    TOLLGATE_INVARIANT(!finished_ && !writing_, "a stream ends once, with no write under way");
    finished_ = true;
    pulling_ = false;
    absl::Status status = *end_;
    const bool broken = broken_;
    mu_.Unlock();
    WireFinish(std::move(status), broken);
  }

  const base::Clock* const clock_;
  // Belongs to the thread that set pulling_, then to gRPC while writing_.
  Out out_;

  mutable absl::Mutex mu_;
  bool started_ ABSL_GUARDED_BY(mu_) = false;
  bool pulling_ ABSL_GUARDED_BY(mu_) = false;
  bool again_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  bool drain_ ABSL_GUARDED_BY(mu_) = false;
  bool broken_ ABSL_GUARDED_BY(mu_) = false;
  absl::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
  absl::optional<base::BootTime> writing_since_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_OUT_FLOW_H_
