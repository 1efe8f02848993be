// tollgate token …
#ifndef TOLLGATE_CLI_COMMANDS_TOKEN_H_
#define TOLLGATE_CLI_COMMANDS_TOKEN_H_

#include "CLI/App.hpp"
#include "cli/context.h"

namespace tollgate::cli {

// --wait, --wait-holds and --wait-timeout: options of every verb that takes permission away.
struct WaitOptions {
  bool wait = false;
  bool holds = false;  // is --wait, too
  std::string timeout = "60s";
  const CLI::Option* timeout_given = nullptr;

  void AddTo(CLI::App& verb);
  // Zero without --wait. INVALID_ARGUMENT: no duration, or one for no wait.
  absl::StatusOr<absl::Duration> Parse() const;
};

// -w, --workspace: an option of every verb about a token.
void AddWorkspaceOption(CLI::App& verb, std::string* workspace);

// Adds the noun and all its verbs. `app` and `context` outlive the parse.
void AddTokenCommands(CLI::App& app, Context& context);

// The parts of AddTokenCommands: commands that show and make tokens, and commands that take
// permission away.
void AddTokenReadCommands(CLI::App& token, Context& context);
void AddTokenListCommand(CLI::App& token, Context& context);
void AddTokenChangeCommands(CLI::App& token, Context& context);
void AddTokenRevokeCommand(CLI::App& token, Context& context);
void AddTokenAttemptsCommand(CLI::App& token, Context& context);
void AddTokenHistoryCommand(CLI::App& token, Context& context);
void AddTokenCheckCommand(CLI::App& token, Context& context);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_TOKEN_H_
