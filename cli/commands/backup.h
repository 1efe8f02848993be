// tollgate backup …
#ifndef TOLLGATE_CLI_COMMANDS_BACKUP_H_
#define TOLLGATE_CLI_COMMANDS_BACKUP_H_

#include "CLI/App.hpp"
#include "cli/context.h"

namespace tollgate::cli {

// create: the service makes a consistent copy of the store in its --backup-dir.
void AddBackupCommands(CLI::App& app, Context& context);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_BACKUP_H_
