// The whole command line: the flags, the environment, the settings file, and the commands.
#ifndef TOLLGATE_CLI_COMMAND_LINE_H_
#define TOLLGATE_CLI_COMMAND_LINE_H_

#include <string>
#include <vector>

#include "cli/context.h"

namespace tollgate::cli {

// Runs the command line; returns the exit code. `environment` is read through getenv.
int RunCommand(const std::vector<std::string>& arguments, Terminal terminal);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMAND_LINE_H_
