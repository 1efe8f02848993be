#include "net/listener_metrics.h"

#include <string>

namespace tollgate {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Family(const char* name, const char* help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

ClientMetric At(const std::string& address) {
  ClientMetric metric;
  metric.label.push_back({"address", address});
  return metric;
}

}  // namespace

std::vector<MetricFamily> ListenerMetrics(const GrpcListeners& listeners) {
  MetricFamily open =
      Family("tollgate_connections", "Connections that are open, to a second", MetricType::Gauge);
  MetricFamily accepted = Family("tollgate_connections_accepted_total",
                                 "Connections that were taken", MetricType::Counter);
  MetricFamily refused = Family("tollgate_connections_refused_total",
                                "Connections that were closed unanswered", MetricType::Counter);
  for (const auto& acceptor : listeners.acceptors()) {
    const Acceptor::Stats stats = acceptor->stats();
    const std::string address = acceptor->address().ToString();
    open.metric.push_back(At(address));
    open.metric.back().gauge.value = static_cast<double>(stats.connections);
    accepted.metric.push_back(At(address));
    accepted.metric.back().counter.value = static_cast<double>(stats.accepted);
    const std::pair<const char*, uint64_t> reasons[] = {{"full", stats.refused_full},
                                                        {"uid", stats.refused_uid},
                                                        {"descriptors", stats.refused_descriptors}};
    for (const auto& [reason, count] : reasons) {
      refused.metric.push_back(At(address));
      refused.metric.back().label.push_back({"reason", reason});
      refused.metric.back().counter.value = static_cast<double>(count);
    }
  }
  return {std::move(open), std::move(accepted), std::move(refused)};
}

}  // namespace tollgate
