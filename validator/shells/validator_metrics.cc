#include "validator/shells/validator_metrics.h"

#include <utility>

#include "net/listener_metrics.h"

namespace tollgate {

void ValidatorRegistry::CollectMore(std::vector<prometheus::MetricFamily>* out) const {
  for (prometheus::MetricFamily& family : ListenerMetrics(*listeners_)) {
    out->push_back(std::move(family));
  }
}

}  // namespace tollgate
