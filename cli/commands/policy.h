// tollgate policy …
#ifndef TOLLGATE_CLI_COMMANDS_POLICY_H_
#define TOLLGATE_CLI_COMMANDS_POLICY_H_

#include "CLI/App.hpp"
#include "cli/context.h"

namespace tollgate::cli {

// test: what a policy says to one request; lint: rules that can never match, and what is probably
// not meant; explain: the policy as a table. All read a file, and ask nobody.
void AddPolicyCommands(CLI::App& app, Context& context);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_POLICY_H_
