#include "net/metrics_port.h"

#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "net/listener_metrics.h"
#include "net/metric_page.h"
#include "net/tls_server.h"

namespace tollgate::net {
namespace {

// What a scrape that is being answered gets at the end.
constexpr absl::Duration kLastAnswers = absl::Milliseconds(250);
constexpr char kContentType[] = "text/plain; version=0.0.4; charset=utf-8";

HttpHandler Answering(std::function<HttpResponse()> answer) {
  return [answer = std::move(answer)](HttpExchange exchange) { exchange.Answer(answer()); };
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsPort>> MetricsPort::Start(absl::string_view address,
                                                                const TlsFiles& tls) {
  HttpHost::Options options;
  ASSIGN_OR_RETURN(options.address, ParseAddress(address));
  if (!tls.empty() && !options.address.is_unix()) {
    absl::StatusOr<std::shared_ptr<const TlsServer>> server = TlsServer::Open(tls);
    if (!server.ok()) {
      return base::Refuse(server.status().code(), base::ReasonOf(server.status()),
                          absl::StrCat("no metrics: ", server.status().message(),
                                       "\n  Their files:  --metrics-tls-cert FILE "
                                       "--metrics-tls-key FILE --metrics-client-ca FILE"));
    }
    options.tls = *std::move(server);
  }
  absl::StatusOr<std::unique_ptr<HttpHost>> host = HttpHost::Bind(std::move(options));
  if (!host.ok()) {
    return base::Refuse(host.status().code(), base::ReasonOf(host.status()),
                        absl::StrCat("no metrics: ", host.status().message(),
                                     "\n  Where they are served:  --metrics-listen ADDR"));
  }
  std::unique_ptr<MetricsPort> port(new MetricsPort(*std::move(host)));
  HttpHost& on = *port->host_;
  on.Handle("/metrics", {"GET"}, Answering([raw = port.get()] { return raw->Metrics(); }));
  on.Handle("/livez", {"GET"}, Answering([raw = port.get()] {
              return raw->HealthOf("liveness", /*unless_known=*/true);
            }));
  on.Handle("/readyz", {"GET"}, Answering([raw = port.get()] {
              return raw->HealthOf("readiness", /*unless_known=*/false);
            }));
  RETURN_IF_ERROR(on.Start());
  return port;
}

MetricsPort::MetricsPort(std::unique_ptr<HttpHost> host) : host_(std::move(host)) {}

MetricsPort::~MetricsPort() { host_->Stop(kLastAnswers); }

void MetricsPort::ServeMetrics(std::shared_ptr<prometheus::Collectable> metrics) {
  absl::MutexLock lock(&mu_);
  metrics_ = std::move(metrics);
}

void MetricsPort::ServeHealth(std::function<bool(const std::string& name)> is_serving) {
  absl::MutexLock lock(&mu_);
  is_serving_ = std::move(is_serving);
}

HttpResponse MetricsPort::Metrics() const {
  std::shared_ptr<prometheus::Collectable> metrics;
  {
    absl::MutexLock lock(&mu_);
    metrics = metrics_;
  }
  std::vector<prometheus::MetricFamily> families;
  if (metrics != nullptr) families = metrics->Collect();
  MetricPage(&families).Counter(
      "tollgate_log_lines_dropped_total",
      "Log lines that were not written, since stderr was not read or refused them",
      base::DroppedLogLines());
  HttpMetrics(*host_, &families);
  HttpResponse response;
  response.content_type = kContentType;
  response.body = prometheus::TextSerializer().Serialize(families);
  return response;
}

HttpResponse MetricsPort::HealthOf(const char* name, bool unless_known) const {
  std::function<bool(const std::string&)> is_serving;
  {
    absl::MutexLock lock(&mu_);
    is_serving = is_serving_;
  }
  if (is_serving ? is_serving(name) : unless_known) return HttpWords(200, name);
  return HttpWords(503, absl::StrCat(name, " is NOT_SERVING, as grpc.health.v1 says too"));
}

}  // namespace tollgate::net
