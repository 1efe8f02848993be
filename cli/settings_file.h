// The settings file: what it may hold, and where in it an error lies.
#ifndef TOLLGATE_CLI_SETTINGS_FILE_H_
#define TOLLGATE_CLI_SETTINGS_FILE_H_

#include <istream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"

namespace tollgate::cli {

// The last command that the words name, as far as they have been read.
const CLI::App* DeepestNamed(const CLI::App& app);

// The settings file that is read without --config: that of the context `typed`, where the words
// name one; otherwise TOLLGATE_CONFIG's where that is set (empty means none); otherwise that of
// UsualContext; otherwise the person's own.
std::string DefaultSettingsFile(const std::string& typed);
// Whether TOLLGATE_CONFIG or a context names the file: a file that was asked for must exist.
bool SettingsFileIsAskedFor(const std::string& typed);
// The context that counts where the words name none: TOLLGATE_CONTEXT's, or the one in use; empty:
// none.
std::string UsualContext();

// Reads the settings file below the environment, because CLI11 alone would let the file win over
// it. CLI11 asks it when all words have been read. A line that is not a setting is a ConfigError
// that names the file, the line and the possible settings. Not thread-safe.
class SettingsFile : public CLI::ConfigTOML {
 public:
  // `app` outlives this object.
  // `over_environment`: the words ask for this file's settings by name, which then win over the
  // environment's.
  SettingsFile(const CLI::App* app, std::string default_path, bool over_environment = false)
      : app_(app), default_path_(std::move(default_path)), over_environment_(over_environment) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& in) const override;

  // "FILE:3: " for an error that begins with the name of an option ("--output: …") whose value came
  // from the file; otherwise empty.
  std::string PlaceOf(const std::string& error) const;

 private:
  // The option that a line sets, of the command whose section the line is in; nullptr: there is
  // none.
  const CLI::Option* OptionOf(const CLI::ConfigItem& item) const;
  const CLI::App* CommandOf(const CLI::ConfigItem& item) const;
  std::string Path() const;
  std::string Settings() const;

  const CLI::App* const app_;
  const std::string default_path_;
  const bool over_environment_;
  // The place in the file of each option that takes its value from there, by the option's name with
  // its dashes. Mutable because CLI11 asks through a const method.
  mutable std::map<std::string, std::string> places_;
};

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_SETTINGS_FILE_H_
