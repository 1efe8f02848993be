// tollgate clock …
#ifndef TOLLGATE_CLI_COMMANDS_CLOCK_H_
#define TOLLGATE_CLI_COMMANDS_CLOCK_H_

#include <string>

#include "CLI/App.hpp"
#include "cli/context.h"
#include "tollgate/v1/operations_service.pb.h"

namespace tollgate::cli {

// status: what time the service goes by, and whether it trusts its machine's clock; accept: ends a
// doubt.
void AddClockCommands(CLI::App& app, Context& context);

// For people: a line for each of what is known, and what to do.
std::string ClockText(const tollgate::v1::Clock& clock);

// The same in a few words, without an end of line: "trusted; edges: 198 of 198 agree …", or for how
// long it has been in doubt and why.
std::string ClockLine(const tollgate::v1::Clock& clock);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_CLOCK_H_
