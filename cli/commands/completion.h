// tollgate completion bash|zsh|fish
#ifndef TOLLGATE_CLI_COMMANDS_COMPLETION_H_
#define TOLLGATE_CLI_COMMANDS_COMPLETION_H_

#include <string>

#include "CLI/App.hpp"
#include "absl/status/statusor.h"
#include "cli/context.h"

namespace tollgate::cli {

// Adds the noun. The scripts are generated from `app` itself, so they never lag behind it.
void AddCompletionCommand(CLI::App& app, Context& context);

// The script for one shell. INVALID_ARGUMENT: the shell is not bash, zsh or fish.
absl::StatusOr<std::string> CompletionScript(const CLI::App& app, const std::string& shell);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_COMPLETION_H_
