// One run of an embedded edge: the core, its ways to the service, and who watches the lease; from
// its start to its goodbye. What the host's words mean, and what a fork makes of them, is
// edge.cc's.
#ifndef TOLLGATE_VALIDATOR_EMBEDDED_EDGE_RUN_H_
#define TOLLGATE_VALIDATOR_EMBEDDED_EDGE_RUN_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "tollgate/edge.h"
#include "validator/core/validator.h"
#include "validator/embedded/edge_holds.h"
#include "validator/embedded/fork_guard.h"
#include "validator/embedded/host_log.h"
#include "validator/shells/edge_metrics.h"
#include "validator/shells/link.h"
#include "validator/shells/resolve_client.h"
#include "validator/shells/service_reach.h"

namespace tollgate::edge {

// `limit` from now on, and a day at most: "for ever" would not fit into the clock.
std::chrono::steady_clock::time_point AtMostUntil(std::chrono::milliseconds limit);

// Thread-safe, but for the destructor. Not to be touched in a forked child.
class EdgeRun {
 public:
  // Edge::Start's errors, but for FORKED_AFTER_START; nothing is left running after one.
  // `mark` is of this process.
  static absl::StatusOr<std::unique_ptr<EdgeRun>> Start(const Options& options,
                                                        std::shared_ptr<const ForkMark> mark);
  // Stops without patience for the goodbye, if Stop was not called.
  ~EdgeRun();
  EdgeRun(const EdgeRun&) = delete;
  EdgeRun& operator=(const EdgeRun&) = delete;

  // What decides; checks may come until the destructor.
  validator::Validator& validator() const { return *validator_; }
  // Null: Options::max_holds is 0.
  EdgeHolds* holds() const { return holds_.get(); }
  // Stop was called.
  bool stopping() const { return stopping_.load(std::memory_order_acquire); }
  // There has been a live lease.
  bool had_lease() const { return had_lease_.load(std::memory_order_relaxed); }
  // What keeps the service from being reached.
  validator::ServiceReach::Trouble trouble() const { return reach_->trouble(); }
  // In Prometheus' text format.
  std::string Metrics() const;

  // Waits for a live lease, for at most `limit`; true: there is one, and Stop was not called.
  bool WaitUntilLive(std::chrono::milliseconds limit);
  // Edge::Stop.
  bool Stop(std::chrono::milliseconds limit);

 private:
  explicit EdgeRun(std::string id) : id_(std::move(id)) {}
  absl::Status Begin(const Options& options, std::shared_ptr<const ForkMark> mark);
  void Watch();
  void TellLease(const validator::ValidatorStatus& now) const;

  const std::string id_;

  // In the order of a start; destroyed in the reverse, after Stop.
  std::unique_ptr<HostLog> log_;
  std::shared_ptr<validator::ResolveClient> resolve_;
  // Handles of holds keep it beyond this object.
  std::shared_ptr<validator::Validator> validator_;
  std::shared_ptr<EdgeHolds> holds_;
  std::shared_ptr<validator::EdgeMetrics> metrics_;
  std::unique_ptr<validator::ServiceReach> reach_;
  std::shared_ptr<validator::Link> link_;

  std::atomic<bool> had_lease_{false};
  std::atomic<bool> stopping_{false};

  std::mutex watch_mu_;  // guards live_, waiting_, watch_stopped_
  std::condition_variable watch_changed_;
  bool live_ = false;
  int waiting_ = 0;  // in WaitUntilLive
  bool watch_stopped_ = false;
  std::thread watch_;

  absl::Mutex stop_mu_;
  bool stopped_ ABSL_GUARDED_BY(stop_mu_) = false;
};

}  // namespace tollgate::edge

#endif  // TOLLGATE_VALIDATOR_EMBEDDED_EDGE_RUN_H_
