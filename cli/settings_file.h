// The file of settings: what may stand in it, and where in it something is wrong.
#ifndef TOLLGATE_CLI_SETTINGS_FILE_H_
#define TOLLGATE_CLI_SETTINGS_FILE_H_

#include <istream>
#include <map>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"

namespace tollgate::cli {

// The command that the words name, as far as they have been read: the last one of them.
const CLI::App* DeepestNamed(const CLI::App& app);

// The file that --config stands for where it is not given: TOLLGATE_CONFIG's, also where that is
// empty, which means none; or else that of the person's configuration.
std::string DefaultSettingsFile();
// Whether TOLLGATE_CONFIG names it: a file that was asked for must be there.
bool SettingsFileIsAskedFor();

// The settings' file, below the environment: CLI11 would let the file win over it. Asked when all
// words have been read. A line that says no setting is a ConfigError that names the file, the line
// and what there is. Not thread-safe.
class SettingsFile : public CLI::ConfigTOML {
 public:
  // `app` outlives it.
  explicit SettingsFile(const CLI::App* app) : app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& in) const override;

  // "FILE:3: " for an error that begins with the name of an option ("--output: …") whose value came
  // from the file; else empty.
  std::string PlaceOf(const std::string& error) const;

 private:
  // The option that a line sets, of the command whose section it stands in; nullptr for none.
  const CLI::Option* OptionOf(const CLI::ConfigItem& item) const;
  const CLI::App* CommandOf(const CLI::ConfigItem& item) const;
  std::string Path() const;
  std::string Settings() const;

  const CLI::App* const app_;
  // Where each option that takes its value from the file stands in it, by name with its dashes.
  // CLI11 asks through a const method.
  mutable std::map<std::string, std::string> places_;
};

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_SETTINGS_FILE_H_
