#ifndef TOLLGATE_TESTS_UNIT_SERVICE_FEED_FAKE_CALL_H_
#define TOLLGATE_TESTS_UNIT_SERVICE_FEED_FAKE_CALL_H_

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "gtest/gtest.h"
#include "service/feed/follow_wire.h"
#include "service/feed/follower_stream.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {

// How long a test waits for a message that must come.
inline constexpr absl::Duration kPatience = absl::Seconds(20);

// The client's end of a Follow call, without gRPC: it writes at once, unless told to stall.
class FakeCall : public FollowWire, public std::enable_shared_from_this<FakeCall> {
 public:
  void WakeCall() override { Pump(); }
  void CloseCall(const absl::Status& status) override {
    absl::MutexLock lock(&mu_);
    if (!end_.has_value()) end_ = status;
  }
  void AbortCall(const absl::Status& status) override {
    std::shared_ptr<FollowerStream> stream;
    {
      absl::MutexLock lock(&mu_);
      if (!end_.has_value()) end_ = status;
      aborted_ = true;
    }
    Finish();
  }
  absl::optional<base::BootTime> StalledSince() const override {
    absl::MutexLock lock(&mu_);
    return stalled_since_;
  }

  std::string CallerName() const override { return caller; }
  std::string caller = "local";  // before it is connected

  void Attach(std::shared_ptr<FollowerStream> stream) {
    absl::MutexLock lock(&mu_);
    stream_ = std::move(stream);
  }
  void Send(const v1::FollowRequest& request) {
    std::shared_ptr<FollowerStream> stream;
    {
      absl::MutexLock lock(&mu_);
      stream = stream_;
    }
    if (stream != nullptr) stream->OnRequest(request);
  }
  // The connection is lost.
  void Lose() { AbortCall(absl::CancelledError("lost")); }
  void Stall() {
    absl::MutexLock lock(&mu_);
    stall_ = true;
  }
  bool Closed() {
    absl::MutexLock lock(&mu_);
    return closed_;
  }
  absl::Status AwaitEnd() {
    absl::MutexLock lock(&mu_);
    const auto ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return closed_; };
    EXPECT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&ended), kPatience)) << "no end came";
    return end_.value_or(absl::UnknownError("none"));
  }
  // The next message, which must come.
  v1::FollowResponse Read() {
    absl::MutexLock lock(&mu_);
    const auto there = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !read_.empty(); };
    if (!mu_.AwaitWithTimeout(absl::Condition(&there), kPatience)) {
      ADD_FAILURE() << "no message came";
      return v1::FollowResponse();
    }
    v1::FollowResponse message = std::move(read_.front());
    read_.pop_front();
    return message;
  }
  size_t unread() {
    absl::MutexLock lock(&mu_);
    return read_.size();
  }

 private:
  void Pump() {
    {
      absl::MutexLock lock(&mu_);
      again_ = true;
      if (pumping_ || closed_) return;
      pumping_ = true;
    }
    while (true) {
      std::shared_ptr<FollowerStream> stream;
      {
        absl::MutexLock lock(&mu_);
        if (!again_ || stalled_since_.has_value() || end_.has_value() || stream_ == nullptr) {
          pumping_ = false;
          break;
        }
        again_ = false;
        stream = stream_;
      }
      std::vector<SharedBytes> pieces;
      if (!stream->NextToWrite(&pieces)) continue;
      std::string bytes;
      for (const SharedBytes& piece : pieces) bytes += *piece;
      v1::FollowResponse message;
      EXPECT_TRUE(message.ParseFromString(bytes));
      absl::MutexLock lock(&mu_);
      again_ = true;
      read_.push_back(std::move(message));
      if (stall_) stalled_since_ = base::SystemClock().Now();
    }
    Finish();
  }
  void Finish() {
    std::shared_ptr<FollowerStream> stream;
    {
      absl::MutexLock lock(&mu_);
      if (!end_.has_value() || pumping_ || closed_) return;
      closed_ = true;
      stream.swap(stream_);
    }
    if (stream != nullptr) stream->OnClosed();
  }

  mutable absl::Mutex mu_;
  std::shared_ptr<FollowerStream> stream_ ABSL_GUARDED_BY(mu_);
  std::deque<v1::FollowResponse> read_ ABSL_GUARDED_BY(mu_);
  absl::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
  absl::optional<base::BootTime> stalled_since_ ABSL_GUARDED_BY(mu_);
  bool stall_ ABSL_GUARDED_BY(mu_) = false;
  bool pumping_ ABSL_GUARDED_BY(mu_) = false;
  bool again_ ABSL_GUARDED_BY(mu_) = false;
  bool aborted_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_TESTS_UNIT_SERVICE_FEED_FAKE_CALL_H_
