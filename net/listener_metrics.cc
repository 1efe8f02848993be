#include "net/listener_metrics.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "net/metric_page.h"
#include "net/tls_server.h"

namespace tollgate::net {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

void WriteAcceptors(const std::string& prefix,
                    const std::vector<std::pair<std::string, Acceptor::Stats>>& read,
                    MetricPage* page) {
  page->Family(prefix.c_str(), "Connections that are open, to a second", MetricType::Gauge);
  for (const auto& [address, stats] : read) {
    page->Value(static_cast<double>(stats.connections), {{"address", address}});
  }
  page->Family((prefix + "_accepted_total").c_str(), "Connections that were taken",
               MetricType::Counter);
  for (const auto& [address, stats] : read) {
    page->Value(static_cast<double>(stats.accepted), {{"address", address}});
  }
  page->Family((prefix + "_refused_total").c_str(), "Connections that were closed unanswered",
               MetricType::Counter);
  for (const auto& [address, stats] : read) {
    const std::pair<const char*, uint64_t> reasons[] = {{"full", stats.refused_full},
                                                        {"uid", stats.refused_uid},
                                                        {"descriptors", stats.refused_descriptors}};
    for (const auto& [reason, count] : reasons) {
      page->Value(static_cast<double>(count), {{"address", address}, {"reason", reason}});
    }
  }
}

void WriteTls(const std::string& address, const HttpHost::Stats& stats,
              const TlsServer::Stats& files, MetricPage* page) {
  page->Family(
      "tollgate_http_handshakes_failed_total",
      "HTTP connections with which TLS never stood. `plaintext`: the peer spoke that; "
      "`certificate`: it had none that the authority given has signed; `gone`: it left; `other`: "
      "what the log says, such as that it does not trust ours",
      MetricType::Counter);
  const std::pair<const char*, int64_t> reasons[] = {{"plaintext", stats.handshakes_plaintext},
                                                     {"certificate", stats.handshakes_certificate},
                                                     {"gone", stats.handshakes_gone},
                                                     {"other", stats.handshakes_other}};
  for (const auto& [reason, count] : reasons) {
    page->Value(static_cast<double>(count), {{"address", address}, {"reason", reason}});
  }
  page->Family("tollgate_http_tls_files_ok",
               "1 while the certificate in force is what its files say; 0: they were refused",
               MetricType::Gauge);
  page->Value(files.ok ? 1 : 0, {{"address", address}});
  page->Family("tollgate_http_certificate_expires_timestamp_seconds",
               "When the certificate in force ends", MetricType::Gauge);
  page->Value(absl::ToDoubleSeconds(files.certificate_expires - absl::UnixEpoch()),
              {{"address", address}});
}

}  // namespace

std::vector<MetricFamily> ListenerMetrics(const GrpcListeners& listeners) {
  // Each is read once, so that the three families are as of one moment.
  std::vector<std::pair<std::string, Acceptor::Stats>> read;
  for (const auto& acceptor : listeners.acceptors()) {
    read.emplace_back(acceptor->address().ToString(), acceptor->stats());
  }
  std::vector<MetricFamily> families;
  MetricPage page(&families);
  WriteAcceptors("tollgate_connections", read, &page);
  return families;
}

void HttpMetrics(const HttpHost& host, std::vector<MetricFamily>* out) {
  const std::string address = host.address().ToString();
  const HttpHost::Stats stats = host.stats();
  MetricPage page(out);
  WriteAcceptors("tollgate_http_connections", {{address, stats.connections}}, &page);
  page.Family(
      "tollgate_http_connections_cut_total",
      "HTTP connections with which TLS did not stand, whose request did not come, or whose answer "
      "was not taken, in time; or that gave their place to another one while they waited",
      MetricType::Counter);
  page.Value(static_cast<double>(stats.cut_request),
             {{"address", address}, {"reason", "slow_request"}});
  page.Value(static_cast<double>(stats.cut_answer),
             {{"address", address}, {"reason", "slow_reader"}});
  page.Value(static_cast<double>(stats.cut_displaced),
             {{"address", address}, {"reason", "displaced"}});
  page.Value(static_cast<double>(stats.cut_handshake),
             {{"address", address}, {"reason", "slow_handshake"}});
  page.Family("tollgate_http_answers_total", "HTTP answers, by status", MetricType::Counter);
  for (const auto& [status, count] : stats.answers) {
    page.Value(static_cast<double>(count), {{"address", address}, {"code", absl::StrCat(status)}});
  }
  if (host.tls() != nullptr) WriteTls(address, stats, host.tls()->stats(), &page);
}

}  // namespace tollgate::net
