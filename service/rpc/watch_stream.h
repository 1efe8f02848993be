// One WatchEvents stream: the feed for people who watch it.
#ifndef TOLLGATE_SERVICE_RPC_WATCH_STREAM_H_
#define TOLLGATE_SERVICE_RPC_WATCH_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/executor.h"
#include "net/reactor.h"
#include "service/feed/hub.h"
#include "storage/engine.h"

namespace tollgate::service {

// Pull model: at most `max_queued` revisions wait for a slow client, and the feed is read on only
// when the client has taken them (I5). A client that falls behind what the store keeps gets
// COMPACTED. Reads run on the executor, one at a time:
//
//   idle --Wake/drained--> reading --something--> idle, written from gRPC's threads
//                             |  ^-- woken meanwhile: read once more
//                             `--an error--> closed with it
class WatchStream final : public net::WriteStream<grpc::ByteBuffer> {
 public:
  struct Options {
    std::string workspace;  // only this one's events; empty: all
    size_t max_queued = 1000;
    base::Executor* executor = nullptr;  // outlives the stream
    storage::Engine* engine = nullptr;   // where the changes are read; outlives the stream
    std::string epoch;                   // the store's
    std::function<void()> on_ended;      // once, when the RPC is over; may be empty
    // Whether the caller may still watch. Thread-safe, and quick; may be empty.
    std::function<absl::Status()> may_watch;
    // Both are asked before each read, are thread-safe and quick, and may be empty, which is false
    // and true.
    // Only of the workspace that has the name now: nothing from before it was made.
    std::function<bool()> as_it_is;
    // Also of what is of no workspace, as the audit log has it: who may do what, backups, …
    std::function<bool()> tells_of_service;
  };
  WatchStream(grpc::CallbackServerContext* context, Options options)
      : WriteStream(context), options_(std::move(options)) {}
  ~WatchStream() override = default;

  // Begins to read from `hub` after `after`. Before Start(). OUT_OF_RANGE: `after` is above the
  // head.
  absl::Status Subscribe(Hub* hub, int64_t after) ABSL_LOCKS_EXCLUDED(mu_);

  // Ends the stream where the caller may no longer watch. Does not wait. Thread-safe.
  void Judge();

 private:
  bool NextToWrite(grpc::ByteBuffer* out) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnEnded() override ABSL_LOCKS_EXCLUDED(mu_);
  // Begins a read, unless one is under way or enough revisions wait already.
  void ReadOn() ABSL_LOCKS_EXCLUDED(mu_);
  void Read() ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  absl::Mutex mu_;
  // While reading_, only the read under way uses it.
  std::unique_ptr<FeedReader> reader_ ABSL_GUARDED_BY(mu_);
  std::deque<SharedRevision> unshown_ ABSL_GUARDED_BY(mu_);  // read, and not in the queue yet
  std::deque<grpc::ByteBuffer> queue_ ABSL_GUARDED_BY(mu_);
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_WATCH_STREAM_H_
