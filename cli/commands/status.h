// tollgate status
#ifndef TOLLGATE_CLI_COMMANDS_STATUS_H_
#define TOLLGATE_CLI_COMMANDS_STATUS_H_

#include <string>

#include "CLI/App.hpp"
#include "absl/strings/string_view.h"
#include "cli/context.h"
#include "tollgate/v1/operations_service.pb.h"

namespace tollgate::cli {

// How the service, its store, its backups, its fleet and its clock stand.
void AddStatusCommand(CLI::App& app, Context& context);

// For people: a line for each, at most 80 columns where names allow. `service` is the address that
// was asked.
std::string StatusText(const tollgate::v1::ServiceStatus& status, absl::string_view service);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_STATUS_H_
