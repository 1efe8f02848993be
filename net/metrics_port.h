// What operators and their machines ask a program over HTTP:
//   /metrics   Prometheus' text format
//   /livez     200 while the health name "liveness" is SERVING, else 503
//   /readyz    the same of "readiness"
// in the names that Kubernetes' own programs use. Only reading, and nothing secret.
#ifndef TOLLGATE_NET_METRICS_PORT_H_
#define TOLLGATE_NET_METRICS_PORT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "net/address.h"
#include "net/http_host.h"
#include "net/tls_files.h"

namespace prometheus {
class Collectable;
}  // namespace prometheus

namespace tollgate::net {

// Thread-safe.
class MetricsPort {
 public:
  // Serves on `address` (ParseAddress), at first only what the process itself counts: alive, and
  // not ready. With TLS where there are files, unless `address` is a Unix socket. Errors:
  // ParseAddress's, TlsServer::Open's, HttpHost::Bind's and HttpHost::Start's.
  static absl::StatusOr<std::unique_ptr<MetricsPort>> Start(absl::string_view address,
                                                            const TlsFiles& tls = {});
  // What is being answered gets a moment.
  ~MetricsPort();
  MetricsPort(const MetricsPort&) = delete;
  MetricsPort& operator=(const MetricsPort&) = delete;

  // Shows these metrics too. `metrics` is read on the port's thread, so it waits for no lock that
  // anybody holds over I/O.
  void ServeMetrics(std::shared_ptr<prometheus::Collectable> metrics) ABSL_LOCKS_EXCLUDED(mu_);
  // From here on this says whether a health name is SERVING; the same of `is_serving`.
  void ServeHealth(std::function<bool(const std::string& name)> is_serving)
      ABSL_LOCKS_EXCLUDED(mu_);

  // With the real port in place of port 0. Constant.
  const Address& address() const { return host_->address(); }

 private:
  explicit MetricsPort(std::unique_ptr<HttpHost> host);
  HttpResponse Metrics() const ABSL_LOCKS_EXCLUDED(mu_);
  HttpResponse HealthOf(const char* name, bool unless_known) const ABSL_LOCKS_EXCLUDED(mu_);

  mutable absl::Mutex mu_;
  std::shared_ptr<prometheus::Collectable> metrics_ ABSL_GUARDED_BY(mu_);
  std::function<bool(const std::string&)> is_serving_ ABSL_GUARDED_BY(mu_);
  const std::unique_ptr<HttpHost> host_;  // last, since its handlers use the rest
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_METRICS_PORT_H_
