// tollgate-validator: names the real process; everything else is ValidatorServer.
#include <cstdio>

#include "base/log.h"
#include "base/status.h"
#include "base/version.h"
#include "net/daemon.h"
#include "net/start_up.h"
#include "validator/flags.h"
#include "validator/shells/server.h"

namespace tollgate::validator {
namespace {

constexpr char kName[] = "tollgate-validator";
// What it has when it has started, on two processors.
constexpr net::ProcessNeeds kNeeds = {.threads = 21, .open_files = 32};

// And what it needs for proxies: two threads and some files an address, one thread for the policy,
// and one that looks after the certificate.
net::ProcessNeeds NeedsOf(const ValidatorServerOptions& options) {
  net::ProcessNeeds needs = kNeeds;
  const int http = static_cast<int>(options.http_listen.size());
  needs.threads +=
      2 * http + (options.policy.empty() ? 0 : 1) + (http > 0 && !options.tls_cert.empty() ? 1 : 0);
  needs.open_files += 8 * http;
  return needs;
}

int Refused(const absl::Status& status) {
  net::ReportRefusal(kName, status);
  return ValidatorExitCodeFor(status);
}

int Main(int argc, char** argv) {
  net::PrepareProcess(kName);
  absl::StatusOr<ValidatorFlags> flags = ParseValidatorFlags(argc, argv);
  if (!flags.ok()) return Refused(net::WithHelpHint(kName, flags.status()));
  if (flags->daemon.print.has_value()) {
    std::fputs(flags->daemon.print->c_str(), stdout);
    return kValidatorExitOk;
  }
  base::SetLogLevel(flags->daemon.log_level);
  base::Log(base::LogLevel::kInfo, "starting", {{"version", base::kVersion}});
  const absl::Status enough = net::CheckProcess(NeedsOf(flags->server));
  if (!enough.ok()) return Refused(enough);
  net::Readiness readiness(flags->daemon);

  // First, so that a taken port leaves no session behind for which receipts would wait.
  absl::StatusOr<std::unique_ptr<net::Daemon>> daemon =
      net::Daemon::Start({kName, flags->daemon.metrics_listen, nullptr, flags->daemon.metrics_tls});
  if (!daemon.ok()) return Refused(daemon.status());
  (*daemon)->BoundStopping(net::StopLimit(flags->daemon));
  if (!flags->server.policy.empty()) (*daemon)->OnHangUp([] {});  // it is read just now
  absl::StatusOr<std::unique_ptr<ValidatorServer>> server = ValidatorServer::Start(flags->server);
  if (!server.ok()) {
    const bool by_a_flag = base::ReasonOf(server.status()) == "BAD_FLAG";
    return Refused(by_a_flag ? net::WithHelpHint(kName, server.status()) : server.status());
  }
  (*daemon)->ServeMetrics((*server)->registry());
  (*daemon)->ServeHealth((*server)->health());
  if (!flags->server.policy.empty()) {
    (*daemon)->OnHangUp([raw = server->get()] { raw->ReloadPolicy(); });
  }

  absl::Status ready = readiness.Write(**daemon, (*server)->addresses(), {{"id", flags->server.id}},
                                       (*server)->http_addresses());
  if (!ready.ok()) {
    const int code = Refused(ready);
    (*daemon)->OnHangUp(nullptr);
    (*daemon)->RequestShutdown();                                         // the end is bounded, too
    (*server)->Drain(absl::ZeroDuration(), flags->daemon.drain_timeout);  // says goodbye
    return code;
  }
  (*daemon)->WaitForShutdownSignal();
  (*daemon)->OnHangUp(nullptr);
  readiness.Remove();
  (*server)->Drain(flags->daemon.drain_pause, flags->daemon.drain_timeout);
  base::Log(base::LogLevel::kInfo, "ended as asked");
  return kValidatorExitOk;
}

}  // namespace
}  // namespace tollgate::validator

int main(int argc, char** argv) { return tollgate::validator::Main(argc, argv); }
