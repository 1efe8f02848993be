// What a validator counts, as Prometheus reads it.
#ifndef TOLLGATE_VALIDATOR_SHELLS_VALIDATOR_METRICS_H_
#define TOLLGATE_VALIDATOR_SHELLS_VALIDATOR_METRICS_H_

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "net/grpc_listeners.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "validator/core/validator.h"
#include "validator/fronts/front.h"

namespace tollgate {

// A registry whose figures are taken from the validator when it is read: the hot path counts for
// itself, and nothing is counted twice. Thread-safe.
class ValidatorRegistry : public prometheus::Registry {
 public:
  // Both are read until Detach.
  ValidatorRegistry(const Validator* validator, const GrpcListeners* listeners);

  // A question has ended.
  void OnResolve(absl::StatusCode code, absl::Duration took);
  // Counts the answers of these fronts, which are read until Detach. Once.
  void AddFronts(const std::vector<std::unique_ptr<Front>>* fronts) ABSL_LOCKS_EXCLUDED(mu_);
  // Neither the validator, its fronts nor the listeners are read afterwards.
  void Detach() ABSL_LOCKS_EXCLUDED(mu_);

  std::vector<prometheus::MetricFamily> Collect() const override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  prometheus::Histogram* const resolve_seconds_;
  std::array<std::atomic<int64_t>, 17> resolve_errors_{};  // by canonical code
  mutable absl::Mutex mu_;
  const Validator* validator_ ABSL_GUARDED_BY(mu_);
  const std::vector<std::unique_ptr<Front>>* fronts_ ABSL_GUARDED_BY(mu_) = nullptr;
  const GrpcListeners* const listeners_;
};

}  // namespace tollgate

#endif  // TOLLGATE_VALIDATOR_SHELLS_VALIDATOR_METRICS_H_
