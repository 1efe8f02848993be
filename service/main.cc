// tollgated: names the real clock, the real randomness and the real process; everything else is
// Server.
#include <sys/stat.h>

#include <cstdio>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/status.h"
#include "base/version.h"
#include "net/daemon.h"
#include "net/start_up.h"
#include "service/flags.h"
#include "service/restore/restore_program.h"
#include "service/server.h"

namespace tollgate::service {
namespace {

constexpr char kName[] = "tollgated";
// What it has when it has started, on two processors.
constexpr net::ProcessNeeds kNeeds = {.threads = 34, .open_files = 64};

int Refused(const absl::Status& status) {
  net::ReportRefusal(kName, status);
  return ExitCodeFor(status);
}

int Main(int argc, char** argv) {
  net::PrepareProcess(kName);
  umask(077);  // the store and the keyring are nobody else's business

  if (argc > 1 && IsStoreCommand(argv[1])) {
    absl::StatusOr<std::string> said =
        RunStoreCommand({argv + 1, argv + argc}, base::SystemRandom(), base::SystemClock());
    if (!said.ok()) return Refused(said.status());
    std::fputs(said->c_str(), stdout);
    return kExitOk;
  }
  absl::StatusOr<ServerFlags> flags = ParseServerFlags(argc, argv);
  if (!flags.ok()) return Refused(net::WithHelpHint(kName, flags.status()));
  if (flags->daemon.print.has_value()) {
    std::fputs(flags->daemon.print->c_str(), stdout);
    return kExitOk;
  }
  base::SetLogLevel(flags->daemon.log_level);
  base::Log(base::LogLevel::kInfo, "starting", {{"version", base::kVersion}});
  const absl::Status enough = net::CheckProcess(kNeeds);
  if (!enough.ok()) return Refused(enough);
  net::Readiness readiness(flags->daemon);

  // First, so that a taken port is found before a store is made.
  absl::StatusOr<std::unique_ptr<net::Daemon>> daemon =
      net::Daemon::Start({kName, flags->daemon.metrics_listen, nullptr, flags->daemon.metrics_tls});
  if (!daemon.ok()) return Refused(daemon.status());
  (*daemon)->BoundStopping(net::kStopGrace);  // nothing to drain yet
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(flags->server);
  if (!server.ok()) {
    const bool by_a_flag = base::ReasonOf(server.status()) == "BAD_FLAG";
    return Refused(by_a_flag ? net::WithHelpHint(kName, server.status()) : server.status());
  }
  (*daemon)->ServeMetrics((*server)->registry());
  (*daemon)->ServeHealth((*server)->health());
  (*daemon)->BoundStopping(net::StopLimit(flags->daemon), (*server)->longest_disk_wait());

  absl::Status ready =
      readiness.Write(**daemon, (*server)->addresses(), {{"epoch", (*server)->epoch()}});
  if (!ready.ok()) {
    const int code = Refused(ready);
    (*daemon)->RequestShutdown();  // the end is bounded, too: the disk may be the reason
    return code;
  }
  (*daemon)->WaitForShutdownSignal();
  readiness.Remove();
  (*server)->Drain(flags->daemon.drain_pause, flags->daemon.drain_timeout);
  base::Log(base::LogLevel::kInfo, "ended as asked");
  return kExitOk;
}

}  // namespace
}  // namespace tollgate::service

int main(int argc, char** argv) { return tollgate::service::Main(argc, argv); }
