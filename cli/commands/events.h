// tollgate events …, tollgate audit …
#ifndef TOLLGATE_CLI_COMMANDS_EVENTS_H_
#define TOLLGATE_CLI_COMMANDS_EVENTS_H_

#include "CLI/App.hpp"
#include "cli/context.h"

namespace tollgate::cli {

// watch: the feed as it happens; wait: until a revision is enforced.
void AddEventsCommands(CLI::App& app, Context& context);
// list, verify.
void AddAuditCommands(CLI::App& app, Context& context);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_EVENTS_H_
