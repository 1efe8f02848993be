#include "cli/commands/context_commands.h"

#include <fstream>
#include <iterator>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/context_store.h"
#include "nlohmann/json.hpp"

namespace tollgate::cli {
namespace {

// What a context may hold, by the settings' names; the rest of a settings file is written by hand.
constexpr const char* kSettings[] = {"service", "edge",   "workspace", "token-file", "tls-cert",
                                     "tls-key", "tls-ca", "output",    "timeout"};

struct CreateOptions {
  std::string name;
  std::string values[std::size(kSettings)];
  bool replace = false;
};

// The value of a key that stands in a settings file before any section; empty: none. Only for
// showing: what counts is what CLI11 reads.
std::string Shown(const std::string& path, absl::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line) && line.find('[') != 0;) {
    const size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    if (absl::StripAsciiWhitespace(absl::string_view(line).substr(0, equals)) != key) continue;
    absl::string_view value =
        absl::StripAsciiWhitespace(absl::string_view(line).substr(equals + 1));
    if (value.size() > 1 && value.front() == value.back() &&
        (value.front() == '"' || value.front() == '\'')) {
      value = value.substr(1, value.size() - 2);
    }
    return std::string(value);
  }
  return "";
}

absl::Status List(Context& context) {
  const ContextStore store = ContextStore::OfThisPerson();
  const std::string in_use = store.InUse();
  nlohmann::json contexts = nlohmann::json::array();
  Table table({{""}, {"CONTEXT"}, {"SERVICE", 20}, {"WORKSPACE", 10}});
  for (const std::string& name : store.Names()) {
    const std::string service = Shown(store.FileOf(name), "service");
    const std::string workspace = Shown(store.FileOf(name), "workspace");
    contexts.push_back({{"name", name},
                        {"in_use", name == in_use},
                        {"file", store.FileOf(name)},
                        {"service", service},
                        {"workspace", workspace}});
    table.AddRow({name == in_use ? "*" : "", name, service.empty() ? "-" : service,
                  workspace.empty() ? "-" : workspace});
    if (context.settings().quiet && !context.settings().json()) context.out() << name << '\n';
  }
  if (context.settings().json()) {
    context.out() << nlohmann::json{{"contexts", contexts}}.dump(
                         2, ' ', true, nlohmann::json::error_handler_t::replace)
                  << '\n';
  } else if (contexts.empty()) {
    context.err() << "No contexts yet. Make one:  tollgate context create prod --service "
                     "HOST:PORT\n";
  } else if (!context.settings().quiet) {
    context.ShowTable(table);
  }
  return absl::OkStatus();
}

absl::Status Use(Context& context, const std::string& name, bool none) {
  if (name.empty() != none) {
    return absl::InvalidArgumentError("which one? Name a context, or say --none");
  }
  const ContextStore store = ContextStore::OfThisPerson();
  RETURN_IF_ERROR(store.Use(name));
  if (context.settings().json()) {
    context.out() << nlohmann::json{{"in_use", name}}.dump(2, ' ', true,
                                                           nlohmann::json::error_handler_t::replace)
                  << '\n';
  } else if (!context.settings().quiet) {
    if (none) {
      context.out() << "no context   " << store.PlainFile() << " counts\n";
    } else {
      const std::string service = Shown(store.FileOf(name), "service");
      context.out() << "in use       " << name
                    << (service.empty() ? "" : absl::StrCat("   ", SafeForTerminal(service)))
                    << '\n';
    }
  }
  return absl::OkStatus();
}

absl::Status Show(Context& context) {
  const ContextStore store = ContextStore::OfThisPerson();
  const std::string in_use = store.InUse();
  const std::string file = in_use.empty() ? store.PlainFile() : store.FileOf(in_use);
  if (context.settings().json()) {
    context.out() << nlohmann::json{{"in_use", in_use}, {"file", file}}.dump(
                         2, ' ', true, nlohmann::json::error_handler_t::replace)
                  << '\n';
    return absl::OkStatus();
  }
  if (context.settings().quiet) {
    if (!in_use.empty()) context.out() << in_use << '\n';
    return absl::OkStatus();
  }
  context.out() << "context      " << (in_use.empty() ? "none" : in_use) << '\n'
                << "file         " << file << '\n';
  std::ifstream text(file);
  for (std::string line; std::getline(text, line);) {
    context.out() << "  " << SafeForTerminal(line) << '\n';
  }
  return absl::OkStatus();
}

absl::Status Create(Context& context, const CreateOptions& options) {
  std::vector<std::pair<std::string, std::string>> settings;
  for (size_t i = 0; i < std::size(kSettings); ++i) {
    if (!options.values[i].empty()) settings.emplace_back(kSettings[i], options.values[i]);
  }
  if (settings.empty()) {
    return absl::InvalidArgumentError("nothing to keep: name at least a --service");
  }
  const ContextStore store = ContextStore::OfThisPerson();
  RETURN_IF_ERROR(store.Write(options.name, settings, options.replace));
  if (context.settings().json()) {
    context.out() << nlohmann::json{{"name", options.name}, {"file", store.FileOf(options.name)}}
                         .dump(2, ' ', true, nlohmann::json::error_handler_t::replace)
                  << '\n';
  } else if (!context.settings().quiet) {
    context.out() << "created      " << options.name << "   " << store.FileOf(options.name) << '\n'
                  << "  Use it:  tollgate context use " << options.name << '\n';
  }
  return absl::OkStatus();
}

absl::Status Delete(Context& context, const std::string& name) {
  const ContextStore store = ContextStore::OfThisPerson();
  const bool was_in_use = store.InUse() == name;
  RETURN_IF_ERROR(store.Remove(name));
  if (context.settings().json()) {
    context.out() << nlohmann::json{{"name", name}, {"was_in_use", was_in_use}}.dump(
                         2, ' ', true, nlohmann::json::error_handler_t::replace)
                  << '\n';
  } else if (!context.settings().quiet) {
    context.out() << "deleted      " << name
                  << (was_in_use ? ", which was in use; none is now" : "") << '\n';
  }
  return absl::OkStatus();
}

}  // namespace

void AddContextCommands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand(
      "context", "Settings by name, for several installations: use prod, use staging");
  noun->require_subcommand(1);
  noun->add_subcommand("list", "All there are; * is in use")->callback([&context] {
    context.Fail(List(context));
  });
  {
    auto name = std::make_shared<std::string>();
    auto none = std::make_shared<bool>(false);
    CLI::App* verb = noun->add_subcommand("use", "Use this one from now on");
    verb->add_option("name", *name, "The context's name");
    verb->add_flag("--none", *none, "Use none: the settings file counts again");
    verb->callback([&context, name, none] { context.Fail(Use(context, *name, *none)); });
  }
  noun->add_subcommand("show", "The one in use, and its settings")->callback([&context] {
    context.Fail(Show(context));
  });
  {
    auto options = std::make_shared<CreateOptions>();
    CLI::App* verb = noun->add_subcommand("create", "Keep settings under a name");
    verb->add_option("name", options->name, "The context's name")->required();
    for (size_t i = 0; i < std::size(kSettings); ++i) {
      const std::string flag = absl::StrCat("--", kSettings[i]);
      const bool is_workspace = flag == "--workspace";
      verb->add_option(is_workspace ? "-w,--workspace" : flag, options->values[i],
                       is_workspace ? "The usual workspace" : "As in tollgate --help");
    }
    verb->add_flag("--replace", options->replace, "Also where there is one of this name");
    verb->callback([&context, options] { context.Fail(Create(context, *options)); });
  }
  auto name = std::make_shared<std::string>();
  CLI::App* verb = noun->add_subcommand("delete", "Forget one");
  verb->add_option("name", *name, "The context's name")->required();
  verb->callback([&context, name] { context.Fail(Delete(context, *name)); });
}

}  // namespace tollgate::cli
