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

void WriteHolds(const HoldTotals& totals, net::MetricPage* page) {
  page->Gauge("tollgate_validator_holders", "Streams of holders",
              static_cast<double>(totals.holders));
  page->Gauge("tollgate_validator_holds_open", "What is held open because a token was admitted",
              static_cast<double>(totals.open));
  page->Gauge("tollgate_validator_holds_in_doubt",
              "Of those, what an event may be about; the service is being asked",
              static_cast<double>(totals.in_doubt));
  page->Gauge("tollgate_validator_holds_uncovered",
              "What is held open though the lease has run out (--holds-outlive-lease)",
              static_cast<double>(totals.uncovered));
  page->Counter("tollgate_validator_holds_opened_total", "Holds that were opened", totals.opened);
  page->Family("tollgate_validator_holds_ended_total",
               "Holds that ended, by reason; `closed`: by their holder", MetricType::Counter);
  page->Value(static_cast<double>(totals.closed), {{"reason", "closed"}});
  for (size_t i = 1; i < totals.ended.size(); ++i) {
    page->Value(static_cast<double>(totals.ended[i]),
                {{"reason", ReasonLabel(static_cast<int>(i))}});
  }
}

void WritePolicy(const PolicyFile& file, net::MetricPage* page) {
  const PolicyFile::Stats stats = file.stats();
  page->Gauge("tollgate_validator_policy_ok",
              "1 while the policy in force is what its file says; 0: the file was refused",
              stats.ok ? 1 : 0);
  page->Family("tollgate_validator_policy_info", "1; the fingerprint of the policy in force",
               MetricType::Gauge);
  page->Value(1, {{"fingerprint", stats.fingerprint}});
  page->Family("tollgate_validator_policy_loads_total",
               "Readings of the policy file that took force, and those that changed nothing",
               MetricType::Counter);
  page->Value(static_cast<double>(stats.loads), {{"result", "in_force"}});
  page->Value(static_cast<double>(stats.failures), {{"result", "refused"}});
  page->Gauge("tollgate_validator_policy_loaded_timestamp_seconds",
              "When the policy in force was read, by the machine's clock",
              absl::ToDoubleSeconds(stats.loaded - absl::UnixEpoch()));
}

}  // namespace

void ValidatorRegistry::CollectMore(std::vector<prometheus::MetricFamily>* out) const {
  {
    net::MetricPage page(out);
    WriteHolds(validator_.holds().Totals(), &page);
  }
  const auto* fronts = fronts_.load(std::memory_order_acquire);
  if (fronts != nullptr) {
    net::MetricPage page(out);
    WriteFronts(*fronts, &page);
  }
  const PolicyFile* const policy = policy_.load(std::memory_order_acquire);
  if (policy != nullptr) {
    net::MetricPage page(out);
    WritePolicy(*policy, &page);
  }
  const auto* http = http_.load(std::memory_order_acquire);
  if (http != nullptr) {
    for (const auto& host : *http) net::HttpMetrics(*host, out);
  }
  for (prometheus::MetricFamily& family : net::ListenerMetrics(*listeners_)) {
    out->push_back(std::move(family));
  }
}

}  // namespace tollgate::validator
