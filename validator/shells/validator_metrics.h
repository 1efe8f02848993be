// A validator server's metrics, as Prometheus reads them.
#ifndef TOLLGATE_VALIDATOR_SHELLS_VALIDATOR_METRICS_H_
#define TOLLGATE_VALIDATOR_SHELLS_VALIDATOR_METRICS_H_

#include <atomic>
#include <memory>
#include <vector>

#include "net/grpc_listeners.h"
#include "validator/fronts/front.h"
#include "validator/shells/edge_metrics.h"

namespace tollgate::validator {

// The metrics of the edge, its fronts and its listeners. Thread-safe.
class ValidatorRegistry final : public EdgeMetrics {
 public:
  // Both are read until Detach.
  ValidatorRegistry(const Validator* validator, const net::GrpcListeners* listeners)
      : EdgeMetrics(validator), listeners_(listeners) {}

  // Adds the counts of these fronts, which are read until Detach. Call once.
  void AddFronts(const std::vector<std::unique_ptr<Front>>* fronts) {
    fronts_.store(fronts, std::memory_order_release);
  }

 private:
  void CollectMore(std::vector<prometheus::MetricFamily>* out) const override;

  std::atomic<const std::vector<std::unique_ptr<Front>>*> fronts_{nullptr};
  const net::GrpcListeners* const listeners_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_VALIDATOR_METRICS_H_
