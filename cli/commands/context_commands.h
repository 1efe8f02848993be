// tollgate context …
#ifndef TOLLGATE_CLI_COMMANDS_CONTEXT_COMMANDS_H_
#define TOLLGATE_CLI_COMMANDS_CONTEXT_COMMANDS_H_

#include "CLI/App.hpp"
#include "cli/context.h"

namespace tollgate::cli {

// list, use, show, create, delete: settings by name, for whoever works with several installations
// (cli/context_store.h).
void AddContextCommands(CLI::App& app, Context& context);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_CONTEXT_COMMANDS_H_
