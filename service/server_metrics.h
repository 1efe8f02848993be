// The control plane's metrics. Every handle is looked up once and kept.
#ifndef TOLLGATE_SERVICE_SERVER_METRICS_H_
#define TOLLGATE_SERVICE_SERVER_METRICS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "service/feed/hub.h"
#include "tollgate/v1/operations_service.pb.h"
#include "tollgate/v1/validation_service.pb.h"

namespace tollgate::service {

// A registry that brings itself up to date when it is read. Thread-safe.
class FreshRegistry : public prometheus::Registry {
 public:
  // Runs `refresh` before each reading; the families that it returns are read with the rest. An
  // empty `refresh` ends that: the former one does not run afterwards.
  void SetRefresh(std::function<std::vector<prometheus::MetricFamily>()> refresh)
      ABSL_LOCKS_EXCLUDED(mu_);
  std::vector<prometheus::MetricFamily> Collect() const override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  mutable absl::Mutex mu_;
  std::function<std::vector<prometheus::MetricFamily>()> refresh_ ABSL_GUARDED_BY(mu_);
};

// One method's calls, by code. Thread-safe.
class MethodMetrics {
 public:
  MethodMetrics(std::string method, prometheus::Family<prometheus::Counter>* calls,
                prometheus::Histogram* seconds)
      : method_(std::move(method)), calls_(calls), seconds_(seconds) {}
  // Counts a call that ended.
  void Count(absl::StatusCode code, absl::Duration took);

 private:
  const std::string method_;
  prometheus::Family<prometheus::Counter>* const calls_;
  prometheus::Histogram* const seconds_;
  std::array<std::atomic<prometheus::Counter*>, 17> by_code_ = {};
};

// Thread-safe. Outlives everything that counts in it.
class ServerMetrics {
 public:
  // `registry` outlives this.
  explicit ServerMetrics(prometheus::Registry& registry);

  // A commit that wrote.
  void OnCommit(int64_t revision, size_t commands, absl::Duration write);
  // The sequencer has judged a command, by its name (Command::name).
  void OnCommand(absl::string_view command, absl::StatusCode code);
  // A change was enforced, `took` after its commit.
  void OnEnforced(absl::Duration took);
  // A sweep ran. `lag` is how late the oldest due entry was; zero: none was due.
  void OnSweep(absl::Duration lag, int64_t done);
  void OnUseReports(int64_t count);
  // A validator has reported so many attempts that it refused for this reason.
  void OnRefusedAttempts(tollgate::v1::VerdictReason reason, int64_t count);
  void OnStoreError();
  // So many commits were not marked, since the start.
  void SetMarkErrors(int64_t count) ABSL_LOCKS_EXCLUDED(mu_);
  // Sets the gauges to the feed's present state, and raises the counters to what the hub has
  // counted.
  void SetFeed(const Hub::Stats& stats) ABSL_LOCKS_EXCLUDED(mu_);
  // How many sessions of the fleet are in each state, and the holds open at those that may admit.
  void SetFleet(const std::vector<SessionView>& fleet);
  // How the clock stands.
  void SetClock(const tollgate::v1::Clock& clock);
  // The handles of one method; made at first use, valid as long as this object.
  MethodMetrics* Method(absl::string_view method);

 private:
  prometheus::Counter* const commits_;
  prometheus::Family<prometheus::Counter>* const commands_;
  prometheus::Histogram* const commit_commands_;
  prometheus::Histogram* const commit_seconds_;
  prometheus::Gauge* const head_revision_;
  prometheus::Gauge* const enforced_revision_;
  prometheus::Gauge* const followers_;
  prometheus::Gauge* const live_sessions_;
  prometheus::Gauge* const pending_;
  // By ValidatorState; null for states that are not shown.
  std::array<prometheus::Gauge*, tollgate::v1::ValidatorState_ARRAYSIZE> validators_ = {};
  prometheus::Gauge* const holds_open_;
  prometheus::Gauge* const waiting_;
  prometheus::Gauge* const ring_bytes_;
  prometheus::Gauge* const rolled_back_;
  prometheus::Counter* const grants_;
  prometheus::Counter* const grants_refused_;
  prometheus::Counter* const lapses_;
  prometheus::Counter* const resets_;
  prometheus::Counter* const resumes_;
  prometheus::Counter* const strangers_;
  prometheus::Counter* const cut_;
  prometheus::Histogram* const enforced_seconds_;
  prometheus::Counter* const use_reports_;
  // By VerdictReason; null for reasons that no edge reports.
  std::array<prometheus::Counter*, tollgate::v1::VerdictReason_ARRAYSIZE> refused_attempts_ = {};
  prometheus::Gauge* const sweep_lag_seconds_;
  prometheus::Counter* const swept_;
  prometheus::Counter* const store_errors_;
  prometheus::Counter* const mark_errors_;
  prometheus::Gauge* const clock_in_doubt_;
  prometheus::Gauge* const clock_offset_seconds_;
  prometheus::Family<prometheus::Counter>* const rpcs_;
  prometheus::Family<prometheus::Histogram>* const rpc_seconds_;
  absl::Mutex mu_;
  int64_t last_mark_errors_ ABSL_GUARDED_BY(mu_) = 0;
  Hub::Stats last_feed_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, std::unique_ptr<MethodMetrics>> methods_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_SERVER_METRICS_H_
