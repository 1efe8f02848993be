// Figures that are read from their owners when Prometheus asks.
#ifndef TOLLGATE_NET_METRIC_PAGE_H_
#define TOLLGATE_NET_METRIC_PAGE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "prometheus/metric_family.h"

namespace tollgate::net {

// Writes families one after the other, each with its values. Not thread-safe.
class MetricPage {
 public:
  using Labels = std::vector<std::pair<const char*, std::string>>;

  // Appends to `*out`, which outlives this object.
  explicit MetricPage(std::vector<prometheus::MetricFamily>* out) : out_(out) {}

  // Begins a family, a counter or a gauge; or goes on with the one of that name, since a page has
  // each family once.
  void Family(const char* name, const char* help, prometheus::MetricType type) {
    for (current_ = 0; current_ < out_->size(); ++current_) {
      if ((*out_)[current_].name == name) return;
    }
    prometheus::MetricFamily& family = out_->emplace_back();
    family.name = name;
    family.help = help;
    family.type = type;
  }
  // Adds a value to the family that was begun last.
  void Value(double value, const Labels& labels = {}) {
    prometheus::MetricFamily& family = (*out_)[current_];
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    for (const auto& [name, text] : labels) metric.label.push_back({name, text});
    if (family.type == prometheus::MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
  }
  // A family with one value.
  void Counter(const char* name, const char* help, int64_t value) {
    Family(name, help, prometheus::MetricType::Counter);
    Value(static_cast<double>(value));
  }
  void Gauge(const char* name, const char* help, double value) {
    Family(name, help, prometheus::MetricType::Gauge);
    Value(value);
  }

 private:
  std::vector<prometheus::MetricFamily>* const out_;
  size_t current_ = 0;
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_METRIC_PAGE_H_
