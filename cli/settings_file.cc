#include "cli/settings_file.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "cli/context_store.h"

namespace tollgate::cli {
namespace {

bool SaidByEnvironment(const CLI::Option* option) {
  if (option == nullptr || option->get_envname().empty()) return false;
  const char* value = std::getenv(option->get_envname().c_str());
  return value != nullptr && *value != 0;
}

// "token.list.limit", and "token.list" for the section itself.
std::string FullName(const CLI::ConfigItem& item) {
  std::vector<std::string> parts = item.parents;
  if (item.name != "++" && item.name != "--") parts.push_back(item.name);
  return absl::StrJoin(parts, ".");
}

// The number (from 1) of the first line that sets this full name, or begins a section of this name
// or within it; 0: there is none.
int LineOf(const std::string& text, const std::string& name) {
  std::string section;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line.front() == '[' && line.back() == ']') {
      section = std::string(line.substr(1, line.size() - 2));
      if (section == name || absl::StartsWith(section, name + ".")) return number;
      if (absl::AsciiStrToLower(section) == "default") section.clear();
      continue;
    }
    std::string key(line.substr(0, line.find_first_of("=#")));
    absl::StripAsciiWhitespace(&key);
    if (key.size() > 1 && key.front() == key.back() && (key[0] == '"' || key[0] == '\'')) {
      key = key.substr(1, key.size() - 2);
    }
    if ((section.empty() ? key : absl::StrCat(section, ".", key)) == name) return number;
  }
  return 0;
}

}  // namespace

const CLI::App* DeepestNamed(const CLI::App& app) {
  const CLI::App* asked = &app;
  while (!asked->get_subcommands().empty()) asked = asked->get_subcommands().front();
  return asked;
}

std::string UsualContext() {
  if (const char* named = std::getenv("TOLLGATE_CONTEXT"); named != nullptr && *named != 0) {
    return named;
  }
  return ContextStore::OfThisPerson().InUse();
}

std::string DefaultSettingsFile(const std::string& typed) {
  const ContextStore contexts = ContextStore::OfThisPerson();
  if (!typed.empty()) return contexts.FileOf(typed);
  if (const char* named = std::getenv("TOLLGATE_CONFIG"); named != nullptr) return named;
  const std::string usual = UsualContext();
  return usual.empty() ? contexts.PlainFile() : contexts.FileOf(usual);
}

bool SettingsFileIsAskedFor(const std::string& typed) {
  if (!typed.empty()) return true;
  const char* named = std::getenv("TOLLGATE_CONFIG");
  return named != nullptr ? *named != 0 : !UsualContext().empty();
}

std::vector<CLI::ConfigItem> SettingsFile::from_config(std::istream& in) const {
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::istringstream again(text);
  std::vector<CLI::ConfigItem> items = CLI::ConfigTOML::from_config(again);
  std::vector<CLI::ConfigItem> general;
  std::erase_if(items, [&](const CLI::ConfigItem& item) {
    // A key that is quoted or dotted in an unusual way may not be found again; then the file is all
    // that can be told.
    const int line = LineOf(text, FullName(item));
    const std::string place =
        line == 0 ? absl::StrCat(Path(), ": ") : absl::StrCat(Path(), ":", line, ": ");
    if (item.name == "++" || item.name == "--") {
      if (CommandOf(item) == nullptr) {
        throw CLI::ConfigError(absl::StrCat(place, "there is no command for the section [",
                                            FullName(item), "]. ", Settings()),
                               CLI::ExitCodes::ConfigError);
      }
      return false;
    }
    if (item.parents.empty() && item.name == "workspace") {
      general.push_back(item);
      places_.emplace("--workspace", place);
      return true;
    }
    const CLI::Option* option = OptionOf(item);
    if (option == nullptr) {
      throw CLI::ConfigError(
          absl::StrCat(place, "'", FullName(item), "' is no setting. ", Settings()),
          CLI::ExitCodes::ConfigError);
    }
    if (!over_environment_ && SaidByEnvironment(option)) return true;
    if (option->empty()) places_[absl::StrCat("--", item.name)] = place;
    return false;
  });
  // Gives this setting to every command that takes it from TOLLGATE_WORKSPACE. Added last: the
  // first setting of an option holds, so a command's own section wins.
  for (CLI::ConfigItem& item : general) {
    for (const CLI::App* at = DeepestNamed(*app_); at != app_; at = at->get_parent()) {
      item.parents.insert(item.parents.begin(), at->get_name());
    }
    const CLI::Option* option = OptionOf(item);
    if (option != nullptr && !option->get_envname().empty() &&
        (over_environment_ || !SaidByEnvironment(option))) {
      items.push_back(item);
    }
  }
  return items;
}

std::string SettingsFile::PlaceOf(const std::string& error) const {
  const auto found = places_.find(error.substr(0, error.find_first_of(": ")));
  return found == places_.end() ? "" : found->second;
}

const CLI::App* SettingsFile::CommandOf(const CLI::ConfigItem& item) const {
  const CLI::App* app = app_;
  for (const std::string& name : item.parents) {
    const std::vector<const CLI::App*> named =
        app->get_subcommands([&name](const CLI::App* sub) { return sub->get_name() == name; });
    if (named.empty()) return nullptr;
    app = named.front();
  }
  return app;
}

const CLI::Option* SettingsFile::OptionOf(const CLI::ConfigItem& item) const {
  // A file of settings is a context's or none's; it chooses no other.
  if (item.parents.empty() && item.name == "context") return nullptr;
  const CLI::App* app = CommandOf(item);
  return app == nullptr ? nullptr : app->get_option_no_throw("--" + item.name);
}

std::string SettingsFile::Path() const {
  const CLI::Option* config = app_->get_config_ptr();
  return config->empty() ? default_path_ : config->results().back();
}

std::string SettingsFile::Settings() const {
  std::vector<std::string> names;
  for (const CLI::Option* option : app_->get_options()) {
    // Leaves out --help, --version, --config and --context, which concern one run only.
    if (option == app_->get_config_ptr() || option == app_->get_help_ptr() ||
        option == app_->get_version_ptr() || option->get_lnames().empty() ||
        option->check_lname("context")) {
      continue;
    }
    names.push_back(option->get_lnames().front());
  }
  return absl::StrCat("There are ", absl::StrJoin(names, ", "),
                      " and workspace; a command's own options stand below its name, as in "
                      "[token.list]");
}

}  // namespace tollgate::cli
