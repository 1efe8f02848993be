#include "validator/shells/validator_metrics.h"

#include <string>
#include <utility>

#include "net/listener_metrics.h"
#include "net/metric_page.h"

namespace tollgate::validator {
namespace {

using prometheus::MetricType;

void WriteFronts(const std::vector<std::unique_ptr<Front>>& fronts, net::MetricPage* page) {
  page->Family("tollgate_validator_front_answers_total",
               "Answers, by front and verdict; `refused`: requests refused before a decision",
               MetricType::Counter);
  for (const std::unique_ptr<Front>& front : fronts) {
    const std::string name(front->name());
    const FrontTotals totals = front->totals();
    const auto value = [&](int64_t count, const char* verdict) {
      page->Value(static_cast<double>(count), {{"front", name}, {"verdict", verdict}});
    };
    value(totals.admitted, "admit");
    value(totals.denied, "deny");
    value(totals.unavailable, "unavailable");
    value(totals.refused, "refused");
  }
}

}  // namespace

void ValidatorRegistry::CollectMore(std::vector<prometheus::MetricFamily>* out) const {
  const auto* fronts = fronts_.load(std::memory_order_acquire);
  if (fronts != nullptr) {
    net::MetricPage page(out);
    WriteFronts(*fronts, &page);
  }
  for (prometheus::MetricFamily& family : net::ListenerMetrics(*listeners_)) {
    out->push_back(std::move(family));
  }
}

}  // namespace tollgate::validator
