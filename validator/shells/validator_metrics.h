// A validator server's metrics, as Prometheus reads them.
#ifndef TOLLGATE_VALIDATOR_SHELLS_VALIDATOR_METRICS_H_
#define TOLLGATE_VALIDATOR_SHELLS_VALIDATOR_METRICS_H_

#include <atomic>
#include <memory>
#include <vector>

#include "net/grpc_listeners.h"
#include "net/http_host.h"
#include "validator/fronts/front.h"
#include "validator/shells/edge_metrics.h"
#include "validator/shells/policy_file.h"

namespace tollgate::validator {

// The metrics of the edge, its fronts and its listeners. Thread-safe.
class ValidatorRegistry final : public EdgeMetrics {
 public:
  // Both are read until Detach.
  ValidatorRegistry(const Validator* validator, const net::GrpcListeners* listeners)
      : EdgeMetrics(validator), listeners_(listeners) {}

  // Adds the counts of these fronts, and of the hosts for HTTP, both complete; they are read until
  // Detach. Call once.
  void AddFronts(const std::vector<std::unique_ptr<Front>>* fronts,
                 const std::vector<std::unique_ptr<net::HttpHost>>* http) {
    http_.store(http, std::memory_order_release);
    fronts_.store(fronts, std::memory_order_release);
  }
  // Adds what became of the policy file, which is read until Detach. Call once.
  void AddPolicy(const PolicyFile* policy) { policy_.store(policy, std::memory_order_release); }

 private:
  void CollectMore(std::vector<prometheus::MetricFamily>* out) const override;

  std::atomic<const std::vector<std::unique_ptr<Front>>*> fronts_{nullptr};
  std::atomic<const std::vector<std::unique_ptr<net::HttpHost>>*> http_{nullptr};
  std::atomic<const PolicyFile*> policy_{nullptr};
  const net::GrpcListeners* const listeners_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_VALIDATOR_METRICS_H_
