// Contexts: settings files with names, one of which is in use. Beside the person's settings file:
//
//   config.toml          the settings without a context
//   contexts/NAME.toml   the settings of a context, with lines as in config.toml
//   context              the name of the one in use; not there: none is
#ifndef TOLLGATE_CLI_CONTEXT_STORE_H_
#define TOLLGATE_CLI_CONTEXT_STORE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tollgate::cli {

// Not thread-safe. Two runs at once: the later one stands; no file is ever seen half written.
class ContextStore {
 public:
  // `folder`: where config.toml is; empty: there is none, and no contexts either.
  explicit ContextStore(std::string folder) : folder_(std::move(folder)) {}
  // Of XDG_CONFIG_HOME, or of HOME.
  static ContextStore OfThisPerson();

  // The settings file without a context; empty where there is no folder.
  std::string PlainFile() const;
  // Where the settings of a context are, whether or not it exists.
  std::string FileOf(absl::string_view name) const;
  bool Exists(absl::string_view name) const;
  // The name of the one in use; empty: none. A context that was removed by hand is named still.
  std::string InUse() const;
  // All there are, in order of their names.
  std::vector<std::string> Names() const;

  // INVALID_ARGUMENT, CONTEXT_NAME_MALFORMED: not 1 to 64 of a-z 0-9 . _ - that begin with a letter
  // or a digit.
  static absl::Status CheckName(absl::string_view name);
  // NOT_FOUND (NO_SUCH_CONTEXT) names those there are; CheckName's.
  absl::Status CheckExists(const std::string& name) const;
  // Uses the context from now on; empty: none. CheckExists's; UNAVAILABLE: the disk.
  absl::Status Use(const std::string& name) const;
  // Writes its file: key = "value" lines, in this order. ALREADY_EXISTS (CONTEXT_EXISTS) unless
  // `replace`. INVALID_ARGUMENT (CONTEXT_VALUE_UNWRITABLE): a value that would not be read back as
  // it is. UNAVAILABLE: the disk.
  absl::Status Write(const std::string& name,
                     const std::vector<std::pair<std::string, std::string>>& settings,
                     bool replace) const;
  // Removes its file, and no longer uses it. CheckExists's; UNAVAILABLE: the disk.
  absl::Status Remove(const std::string& name) const;

 private:
  absl::Status WriteFile(const std::string& path, const std::string& text) const;

  std::string folder_;
};

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_CONTEXT_STORE_H_
