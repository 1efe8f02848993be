// How each command is typed: what its --help shows, and its man page.
#ifndef TOLLGATE_CLI_EXAMPLES_H_
#define TOLLGATE_CLI_EXAMPLES_H_

#include <vector>

#include "absl/strings/string_view.h"

namespace tollgate::cli {

// Lines for a shell, at most 76 columns each, of the command that `path` names without the
// program's name, as in "token create". Empty: it has none, since it only groups others.
std::vector<absl::string_view> ExamplesOf(absl::string_view path);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_EXAMPLES_H_
