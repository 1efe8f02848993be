#include "net/start_up.h"

#include <unistd.h>

#include "base/core_dump.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/status.h"
#include "net/address.h"
#include "net/grpc_log.h"
#include "nlohmann/json.hpp"

namespace tollgate::net {

void PrepareProcess(absl::string_view program) {
  BlockShutdownSignals();
  base::InitSecrets();
  base::SetLogProgram(program);
  base::QueueLogLines();
  base::ForbidCoreDumps();  // token strings pass through here
  LogWhatGrpcSays();
}

absl::Status WriteReadiness(const DaemonSettings& settings, const Daemon& daemon,
                            const std::vector<std::string>& listen,
                            const std::vector<std::pair<std::string, std::string>>& more) {
  if (settings.ready_file.empty()) return absl::OkStatus();
  nlohmann::json ready = {{"listen", listen}, {"pid", getpid()}};
  if (daemon.metrics_port() != 0) {
    ASSIGN_OR_RETURN(Address metrics, ParseAddress(settings.metrics_listen));
    metrics.port = static_cast<uint16_t>(daemon.metrics_port());
    ready["metrics"] = metrics.ToString();
  }
  for (const auto& [name, value] : more) ready[name] = value;
  return WriteReadyFile(settings.ready_file, ready.dump() + "\n");
}

void RemoveReadiness(const DaemonSettings& settings) {
  if (!settings.ready_file.empty()) unlink(settings.ready_file.c_str());
}

}  // namespace tollgate::net
