// tollgate workspace …
#ifndef TOLLGATE_CLI_COMMANDS_WORKSPACE_H_
#define TOLLGATE_CLI_COMMANDS_WORKSPACE_H_

#include "CLI/App.hpp"
#include "cli/context.h"

namespace tollgate::cli {

void AddWorkspaceCommands(CLI::App& app, Context& context);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_WORKSPACE_H_
