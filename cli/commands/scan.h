// tollgate scan …
#ifndef TOLLGATE_CLI_COMMANDS_SCAN_H_
#define TOLLGATE_CLI_COMMANDS_SCAN_H_

#include "CLI/App.hpp"
#include "cli/context.h"

namespace tollgate::cli {

// Finds token strings in files, and revokes them where that is asked for. `app` and `context`
// outlive the parse.
void AddScanCommand(CLI::App& app, Context& context);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_SCAN_H_
