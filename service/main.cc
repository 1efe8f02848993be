// tollgated: names the real clock, the real randomness and the real process; everything else is
// Server.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/secret.h"
#include "net/address.h"
#include "net/daemon.h"
#include "nlohmann/json.hpp"
#include "service/flags.h"
#include "service/restore/restore_program.h"
#include "service/server.h"

namespace tollgate {
namespace {

int Refused(const absl::Status& status) {
  ReportRefusal("tollgated", status);
  return ExitCodeFor(status);
}

int Main(int argc, char** argv) {
  BlockShutdownSignals();
  signal(SIGXFSZ, SIG_IGN);  // a file's limit is a failed write, and ends it like one (R7)
  InitSecrets();
  SetLogProgram("tollgated");
  umask(077);  // the store and the keyring are nobody else's business
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);  // a core dump would hold token strings on their way

  if (argc > 1 && IsStoreCommand(argv[1])) {
    absl::StatusOr<std::string> said =
        RunStoreCommand({argv + 1, argv + argc}, SystemRandom(), SystemClock());
    if (!said.ok()) return Refused(said.status());
    std::fputs(said->c_str(), stdout);
    return kExitOk;
  }
  absl::StatusOr<ServerFlags> flags = ParseServerFlags(argc, argv);
  if (!flags.ok()) {
    ReportRefusal("tollgated", absl::InvalidArgumentError(absl::StrCat(
                                   flags.status().message(), "\n  All flags: tollgated --help")));
    return kExitUsage;
  }
  if (flags->print.has_value()) {
    std::fputs(flags->print->c_str(), stdout);
    return kExitOk;
  }
  SetLogLevel(flags->log_level);

  // First, so that a port that is taken makes no store.
  absl::StatusOr<std::unique_ptr<Daemon>> daemon =
      Daemon::Start({"tollgated", flags->metrics_listen, nullptr});
  if (!daemon.ok()) return Refused(daemon.status());
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(flags->server);
  if (!server.ok()) return Refused(server.status());
  (*daemon)->ServeMetrics((*server)->registry());

  if (!flags->ready_file.empty()) {
    nlohmann::json ready = {
        {"listen", (*server)->addresses()}, {"epoch", (*server)->epoch()}, {"pid", getpid()}};
    if ((*daemon)->metrics_port() != 0) {
      Address metrics = ParseAddress(flags->metrics_listen).value();  // Daemon took it
      metrics.port = static_cast<uint16_t>((*daemon)->metrics_port());
      ready["metrics"] = metrics.ToString();
    }
    absl::Status written = WriteReadyFile(flags->ready_file, ready.dump() + "\n");
    if (!written.ok()) return Refused(written);
  }
  (*daemon)->WaitForShutdownSignal();
  (*server)->Drain(flags->drain_pause, flags->drain_timeout);
  Log(LogLevel::kInfo, "ended as asked");
  return kExitOk;
}

}  // namespace
}  // namespace tollgate

int main(int argc, char** argv) { return tollgate::Main(argc, argv); }
