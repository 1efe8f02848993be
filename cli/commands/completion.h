// tollgate completion bash|zsh|fish
#ifndef TOLLGATE_CLI_COMMANDS_COMPLETION_H_
#define TOLLGATE_CLI_COMMANDS_COMPLETION_H_

#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/statusor.h"
#include "cli/context.h"

namespace tollgate::cli {

// Adds the noun, and the command that the scripts ask for values. The scripts are generated from
// `app` itself, so they never lag behind it.
void AddCompletionCommand(CLI::App& app, Context& context);

// The script for one shell. INVALID_ARGUMENT: the shell is not bash, zsh or fish.
absl::StatusOr<std::string> CompletionScript(const CLI::App& app, const std::string& shell);

// What is to be run for the words that a script hands over, `complete-values KIND -- WORD…`: of
// what was typed so far only what says whom to ask, and about which workspace. Other words come
// back as they are.
std::vector<std::string> ForCompletion(std::vector<std::string> arguments);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_COMPLETION_H_
