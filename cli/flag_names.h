// Which flag of the command an error is about: who typed `--expires-in` knows nothing of a field
// `lifetime`.
#ifndef TOLLGATE_CLI_FLAG_NAMES_H_
#define TOLLGATE_CLI_FLAG_NAMES_H_

#include <string>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tollgate::cli {

// Looks at the command that the words name, once they have been read. Not thread-safe.
class FlagNames {
 public:
  // `app` is the whole program, and outlives this object.
  explicit FlagNames(const CLI::App* app) : app_(app) {}

  // The flag whose value this is, as typed: "--expires-in"; empty: none, or several.
  std::string OfValue(absl::string_view value) const;
  // The flag that fills this field of a request ("token.expire_time"), where the command has it and
  // it was typed; empty: none.
  std::string OfField(absl::string_view field) const;

  // The same error in the words of the command: a message that begins with a quoted value, or with
  // a field's path, begins with the flag, and so does each field's violation.
  absl::Status InFlags(const absl::Status& status) const;

 private:
  const CLI::App* const app_;
};

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_FLAG_NAMES_H_
