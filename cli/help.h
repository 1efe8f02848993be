// The text of --help, within the 80 columns of any terminal.
#ifndef TOLLGATE_CLI_HELP_H_
#define TOLLGATE_CLI_HELP_H_

#include <memory>
#include <string>
#include <vector>

#include "CLI/Formatter.hpp"
#include "absl/strings/string_view.h"

namespace tollgate::cli {

// Breaks `text` between words into lines of at most `columns`; a line end in it stays one, and so
// do the spaces a line begins with. A longer word has a line to itself.
std::vector<std::string> WrappedLines(absl::string_view text, size_t columns);

// Lays help out in two columns. An app hands it on to the commands that are added to it afterwards.
std::shared_ptr<CLI::Formatter> NarrowHelp();

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_HELP_H_
