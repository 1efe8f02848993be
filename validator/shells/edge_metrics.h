// An edge's metrics, as Prometheus reads them.
#ifndef TOLLGATE_VALIDATOR_SHELLS_EDGE_METRICS_H_
#define TOLLGATE_VALIDATOR_SHELLS_EDGE_METRICS_H_

#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "validator/core/validator.h"

namespace tollgate::validator {

// How a metric names a VerdictReason. `VERDICT_REASON_NO_LEASE`: "no_lease".
std::string ReasonLabel(int reason);

// A registry that reads its figures from the validator: the hot path keeps its own counts, and
// nothing is counted twice. Thread-safe.
class EdgeMetrics : public prometheus::Registry {
 public:
  // `validator` is read until Detach.
  explicit EdgeMetrics(const Validator* validator);

  // A question to the service has ended.
  void OnResolve(absl::StatusCode code, absl::Duration took);
  // Afterwards neither the validator is read nor anything that CollectMore reads.
  void Detach() ABSL_LOCKS_EXCLUDED(mu_);

  std::vector<prometheus::MetricFamily> Collect() const override ABSL_LOCKS_EXCLUDED(mu_);

 protected:
  // Appends further families. Not called after Detach. Must not call back.
  virtual void CollectMore(std::vector<prometheus::MetricFamily>* /*out*/) const {}

 private:
  prometheus::Histogram* const resolve_seconds_;
  std::array<std::atomic<int64_t>, 17> resolve_errors_{};  // by canonical code
  mutable absl::Mutex mu_;
  const Validator* validator_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_EDGE_METRICS_H_
