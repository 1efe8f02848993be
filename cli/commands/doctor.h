// tollgate doctor …
#ifndef TOLLGATE_CLI_COMMANDS_DOCTOR_H_
#define TOLLGATE_CLI_COMMANDS_DOCTOR_H_

#include "CLI/App.hpp"
#include "cli/context.h"

namespace tollgate::cli {

// edge: whether something between here and an edge keeps its answers.
void AddDoctorCommands(CLI::App& app, Context& context);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_DOCTOR_H_
