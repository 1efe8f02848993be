// tollgate access …
#ifndef TOLLGATE_CLI_COMMANDS_ACCESS_H_
#define TOLLGATE_CLI_COMMANDS_ACCESS_H_

#include "CLI/App.hpp"
#include "cli/context.h"

namespace tollgate::cli {

// Adds the noun and all its verbs. `app` and `context` outlive the parse.
void AddAccessCommands(CLI::App& app, Context& context);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_ACCESS_H_
