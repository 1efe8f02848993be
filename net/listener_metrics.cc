#include "net/listener_metrics.h"

#include <string>
#include <utility>

#include "net/metric_page.h"

namespace tollgate::net {

using prometheus::MetricFamily;
using prometheus::MetricType;

std::vector<MetricFamily> ListenerMetrics(const GrpcListeners& listeners) {
  // Each is read once, so that the three families are as of one moment.
  std::vector<std::pair<std::string, Acceptor::Stats>> read;
  for (const auto& acceptor : listeners.acceptors()) {
    read.emplace_back(acceptor->address().ToString(), acceptor->stats());
  }
  std::vector<MetricFamily> families;
  MetricPage page(&families);
  page.Family("tollgate_connections", "Connections that are open, to a second", MetricType::Gauge);
  for (const auto& [address, stats] : read) {
    page.Value(static_cast<double>(stats.connections), {{"address", address}});
  }
  page.Family("tollgate_connections_accepted_total", "Connections that were taken",
              MetricType::Counter);
  for (const auto& [address, stats] : read) {
    page.Value(static_cast<double>(stats.accepted), {{"address", address}});
  }
  page.Family("tollgate_connections_refused_total", "Connections that were closed unanswered",
              MetricType::Counter);
  for (const auto& [address, stats] : read) {
    const std::pair<const char*, uint64_t> reasons[] = {{"full", stats.refused_full},
                                                        {"uid", stats.refused_uid},
                                                        {"descriptors", stats.refused_descriptors}};
    for (const auto& [reason, count] : reasons) {
      page.Value(static_cast<double>(count), {{"address", address}, {"reason", reason}});
    }
  }
  return families;
}

}  // namespace tollgate::net
