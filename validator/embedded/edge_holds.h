// The holds of an embedded edge: one holder of the core's (validator/core/holds.h), in the same
// process. The core says that a hold has opened or ended, on any thread; this notes it at once, so
// that Hold::Good is right, and calls the host on a thread of its own, because a host that dawdles
// must hold up neither pings nor events.
//
//   opening --admitted--> open --the core ended it--> ended
//      |                    |                           |
//      |refused             |closed by the host         |closed by the host
//      v                    v                           v
//   (gone)               (gone)                      (gone)
#ifndef TOLLGATE_VALIDATOR_EMBEDDED_EDGE_HOLDS_H_
#define TOLLGATE_VALIDATOR_EMBEDDED_EDGE_HOLDS_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tollgate/edge.h"
#include "tollgate/v1/validation_service.pb.h"
#include "validator/core/holds.h"
#include "validator/core/validator.h"
#include "validator/embedded/fork_guard.h"

namespace tollgate::edge {

// Thread-safe. No host code runs with a lock held. Not to be touched in a forked child, but for
// what Hold does.
class EdgeHolds : public std::enable_shared_from_this<EdgeHolds> {
 public:
  // `most` is at least 1, and the core has room for twice as many (Holds: a stream has half).
  static std::shared_ptr<EdgeHolds> Start(std::shared_ptr<validator::Validator> validator,
                                          std::shared_ptr<const ForkMark> mark, size_t most);
  ~EdgeHolds();

  // Edge::HoldAsync and Edge::HoldBlocking.
  void HoldAsync(absl::string_view token_string, const Requirement& requirement,
                 Edge::HoldEnd on_end, Edge::HoldOpened opened);
  std::pair<Decision, Hold> HoldBlocking(absl::string_view token_string,
                                         const Requirement& requirement, Edge::HoldEnd on_end,
                                         std::chrono::milliseconds limit);

  // From now on nothing is held, and what ends has ended because the edge stops. Before the core is
  // told to stop admitting.
  void BeginStop();
  // Waits until the host has been told of everything. Once the core has answered what it was asked.
  // Idempotent.
  void Finish();

 private:
  friend class Hold;
  friend struct Hold::Held;
  using HeldRef = std::shared_ptr<Hold::Held>;

  // What the host's thread is to call: `opened`, or `on_end`.
  struct Call {
    HeldRef held;
    bool ended = false;
  };

  EdgeHolds(std::shared_ptr<validator::Validator> validator, std::shared_ptr<const ForkMark> mark,
            size_t most);
  // Asks the core. kNone: it will answer, or has; else it was not asked, and this is why.
  Reason Open(const HeldRef& held, absl::string_view token_string, const Requirement& requirement);
  absl::Status AskCore(const HeldRef& held, absl::string_view token_string,
                       const Requirement& requirement);
  // Takes what the core has said.
  void Pump();
  void TakeOpened(const tollgate::v1::HoldResponse::Opened& opened);
  void TakeEnded(const tollgate::v1::HoldResponse::Ended& ended);
  // Forgets what is being opened, or was closed. Gives back what must be freed without the lock.
  HeldRef Forget(uint64_t id);
  void CallHost();
  void MakeCall(Call call);
  void Close(Hold::Held* held);

  const std::shared_ptr<validator::Validator> validator_;
  const std::shared_ptr<const ForkMark> mark_;
  const size_t most_;
  // Set at the start, before anything is asked.
  validator::Holds::HolderRef holder_;
  std::thread host_;
  std::thread::id host_id_;

  // Guards all that follows, and what Held says. The core may be asked for messages while it is
  // held; the core never calls with a lock of its own held.
  std::mutex mu_;
  std::condition_variable answered_;  // an Open
  std::condition_variable to_call_;   // there is a call, or nothing will ever follow
  std::condition_variable called_;    // an on_end has returned
  // From Open until the host has the refusal, or the hold is closed.
  absl::flat_hash_map<uint64_t, HeldRef> held_;
  std::deque<Call> calls_;  // bounded as held_ is
  size_t opening_ = 0;
  uint64_t last_id_ = 0;
  const Hold::Held* ending_ = nullptr;  // its on_end is being called
  bool stopping_ = false;
  bool finishing_ = false;
};

// One hold. Shared by its handle, and by EdgeHolds until it is closed.
struct Hold::Held {
  // Before the answer.
  static constexpr int32_t kOpening = -1;

  std::shared_ptr<EdgeHolds> holds;
  // kOpening, kNone while it is open, or why it has ended: a Reason.
  std::atomic<int32_t> ended{kOpening};
  // Written by the core's answer, read once `answered`.
  Decision decision;
  // Guarded by EdgeHolds::mu_.
  uint64_t id = 0;
  Edge::HoldEnd on_end;
  Edge::HoldOpened opened;  // empty: HoldBlocking waits
  bool answered = false;
  bool closed = false;
};

}  // namespace tollgate::edge

#endif  // TOLLGATE_VALIDATOR_EMBEDDED_EDGE_HOLDS_H_
