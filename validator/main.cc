// tollgate-validator: names the real process; everything else is ValidatorServer.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/status.h"
#include "net/address.h"
#include "net/daemon.h"
#include "nlohmann/json.hpp"
#include "validator/flags.h"
#include "validator/server.h"

namespace tollgate {
namespace {

constexpr char kName[] = "tollgate-validator";

int Refused(const absl::Status& status) {
  ReportRefusal(kName, status);
  return ValidatorExitCodeFor(status);
}

int Main(int argc, char** argv) {
  BlockShutdownSignals();
  InitSecrets();
  SetLogProgram(kName);
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);  // a core dump would hold token strings on their way

  absl::StatusOr<ValidatorFlags> flags = ParseValidatorFlags(argc, argv);
  if (!flags.ok()) {
    return Refused(
        Refuse(flags.status().code(), ReasonOf(flags.status()),
               absl::StrCat(flags.status().message(), "\n  All flags: tollgate-validator --help")));
  }
  if (flags->print.has_value()) {
    std::fputs(flags->print->c_str(), stdout);
    return kValidatorExitOk;
  }
  SetLogLevel(flags->log_level);

  absl::StatusOr<std::unique_ptr<ValidatorServer>> server = ValidatorServer::Start(flags->server);
  if (!server.ok()) return Refused(server.status());
  absl::StatusOr<std::unique_ptr<Daemon>> daemon =
      Daemon::Start({kName, flags->metrics_listen, (*server)->registry()});
  if (!daemon.ok()) return Refused(daemon.status());

  if (!flags->ready_file.empty()) {
    nlohmann::json ready = {
        {"listen", (*server)->addresses()}, {"id", flags->server.id}, {"pid", getpid()}};
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
  return kValidatorExitOk;
}

}  // namespace
}  // namespace tollgate

int main(int argc, char** argv) { return tollgate::Main(argc, argv); }
