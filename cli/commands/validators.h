// tollgate validators …
#ifndef TOLLGATE_CLI_COMMANDS_VALIDATORS_H_
#define TOLLGATE_CLI_COMMANDS_VALIDATORS_H_

#include "CLI/App.hpp"
#include "cli/context.h"

namespace tollgate::cli {

// list: the fleet now; watch: the fleet live, until Ctrl-C; forget: a lapsed one for good.
void AddValidatorsCommands(CLI::App& app, Context& context);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_VALIDATORS_H_
