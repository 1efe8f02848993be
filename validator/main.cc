// tollgate-validator: names the real process; everything else is ValidatorServer.
#include <cstdio>

#include "base/log.h"
#include "base/version.h"
#include "net/daemon.h"
#include "net/start_up.h"
#include "validator/flags.h"
#include "validator/shells/server.h"

namespace tollgate {
namespace {

constexpr char kName[] = "tollgate-validator";

int Refused(const absl::Status& status) {
  ReportRefusal(kName, status);
  return ValidatorExitCodeFor(status);
}

int Main(int argc, char** argv) {
  PrepareProcess(kName);
  absl::StatusOr<ValidatorFlags> flags = ParseValidatorFlags(argc, argv);
  if (!flags.ok()) return Refused(WithHelpHint(kName, flags.status()));
  if (flags->daemon.print.has_value()) {
    std::fputs(flags->daemon.print->c_str(), stdout);
    return kValidatorExitOk;
  }
  SetLogLevel(flags->daemon.log_level);
  Log(LogLevel::kInfo, "starting", {{"version", kVersion}});
  RemoveReadiness(flags->daemon);

  // First, so that a port that is taken leaves no session behind that receipts would wait for.
  absl::StatusOr<std::unique_ptr<Daemon>> daemon =
      Daemon::Start({kName, flags->daemon.metrics_listen, nullptr});
  if (!daemon.ok()) return Refused(daemon.status());
  absl::StatusOr<std::unique_ptr<ValidatorServer>> server = ValidatorServer::Start(flags->server);
  if (!server.ok()) return Refused(server.status());
  (*daemon)->ServeMetrics((*server)->registry());

  absl::Status ready =
      WriteReadiness(flags->daemon, **daemon, (*server)->addresses(), {{"id", flags->server.id}});
  if (!ready.ok()) {
    (*server)->Drain(absl::ZeroDuration(), flags->daemon.drain_timeout);  // says goodbye
    return Refused(ready);
  }
  (*daemon)->WaitForShutdownSignal();
  RemoveReadiness(flags->daemon);
  (*server)->Drain(flags->daemon.drain_pause, flags->daemon.drain_timeout);
  Log(LogLevel::kInfo, "ended as asked");
  return kValidatorExitOk;
}

}  // namespace
}  // namespace tollgate

int main(int argc, char** argv) { return tollgate::Main(argc, argv); }
