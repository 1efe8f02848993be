// What a validator server counts, as Prometheus reads it.
#ifndef TOLLGATE_VALIDATOR_SHELLS_VALIDATOR_METRICS_H_
#define TOLLGATE_VALIDATOR_SHELLS_VALIDATOR_METRICS_H_

#include <vector>

#include "net/grpc_listeners.h"
#include "validator/shells/edge_metrics.h"

namespace tollgate {

// The edge's metrics, and its listeners'. Thread-safe.
class ValidatorRegistry final : public EdgeMetrics {
 public:
  // Both are read until Detach.
  ValidatorRegistry(const Validator* validator, const GrpcListeners* listeners)
      : EdgeMetrics(validator), listeners_(listeners) {}

 private:
  void CollectMore(std::vector<prometheus::MetricFamily>* out) const override;

  const GrpcListeners* const listeners_;
};

}  // namespace tollgate

#endif  // TOLLGATE_VALIDATOR_SHELLS_VALIDATOR_METRICS_H_
