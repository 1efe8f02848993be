// What an edge counts, as Prometheus reads it.
#ifndef TOLLGATE_VALIDATOR_SHELLS_EDGE_METRICS_H_
#define TOLLGATE_VALIDATOR_SHELLS_EDGE_METRICS_H_

#include <array>
#include <atomic>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "validator/core/validator.h"

namespace tollgate::validator {

// A registry whose figures are taken from the validator when it is read: the hot path counts for
// itself, and nothing is counted twice. Thread-safe.
class EdgeMetrics : public prometheus::Registry {
 public:
  // `validator` is read until Detach.
  explicit EdgeMetrics(const Validator* validator);

  // A question has ended.
  void OnResolve(absl::StatusCode code, absl::Duration took);
  // The validator is not read afterwards, nor what CollectMore reads.
  void Detach() ABSL_LOCKS_EXCLUDED(mu_);

  std::vector<prometheus::MetricFamily> Collect() const override ABSL_LOCKS_EXCLUDED(mu_);

 protected:
  // Appends what else there is to tell; not called after Detach. Must not call back.
  virtual void CollectMore(std::vector<prometheus::MetricFamily>* /*out*/) const {}

 private:
  prometheus::Histogram* const resolve_seconds_;
  std::array<std::atomic<int64_t>, 17> resolve_errors_{};  // by canonical code
  mutable absl::Mutex mu_;
  const Validator* validator_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_EDGE_METRICS_H_
