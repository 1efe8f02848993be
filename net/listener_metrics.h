// The acceptors' counters, as Prometheus reads them.
#ifndef TOLLGATE_NET_LISTENER_METRICS_H_
#define TOLLGATE_NET_LISTENER_METRICS_H_

#include <vector>

#include "net/grpc_listeners.h"
#include "net/http_host.h"
#include "prometheus/metric_family.h"

namespace tollgate::net {

// tollgate_connections{address}, tollgate_connections_accepted_total{address} and
// tollgate_connections_refused_total{address,reason}, where the reason is "full", "uid" or
// "descriptors". Thread-safe once all listeners were added.
std::vector<prometheus::MetricFamily> ListenerMetrics(const GrpcListeners& listeners);

// Appends the same of an HTTP host, as tollgate_http_connections…, and what it has answered and
// cut: tollgate_http_answers_total{address,code}, tollgate_http_connections_cut_total{address,
// reason}, where the reason is "slow_request", "slow_reader", "displaced" or "slow_handshake"; with
// TLS also tollgate_http_handshakes_failed_total{address,reason},
// tollgate_http_tls_files_ok{address} and
// tollgate_http_certificate_expires_timestamp_seconds{address}. Thread-safe.
void HttpMetrics(const HttpHost& host, std::vector<prometheus::MetricFamily>* out);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_LISTENER_METRICS_H_
