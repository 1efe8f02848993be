#include "cli/command_line.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <ostream>

#include "CLI/App.hpp"
#include "CLI/Formatter.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/version.h"
#include "cli/commands/access.h"
#include "cli/commands/backup.h"
#include "cli/commands/clock.h"
#include "cli/commands/completion.h"
#include "cli/commands/context_commands.h"
#include "cli/commands/doctor.h"
#include "cli/commands/events.h"
#include "cli/commands/policy.h"
#include "cli/commands/scan.h"
#include "cli/commands/status.h"
#include "cli/commands/token.h"
#include "cli/commands/validators.h"
#include "cli/commands/workspace.h"
#include "cli/context_store.h"
#include "cli/flag_names.h"
#include "cli/help.h"
#include "cli/settings_file.h"
#include "policy/near_miss.h"
#include "token/token_string.h"

namespace tollgate::cli {
namespace {

constexpr char kFooter[] =
    "The settings of 'tollgate --help' can follow any command. They come from flags, then the "
    "environment (TOLLGATE_SERVICE, TOLLGATE_EDGE, TOLLGATE_WORKSPACE, …), then the file that "
    "--config or TOLLGATE_CONFIG names (by default ~/.config/tollgate/config.toml; with an empty "
    "TOLLGATE_CONFIG none), with lines as in service = \"localhost:7411\" and workspace = "
    "\"acme\".\n"
    "\n"
    "Exit codes: 0 done; 1 failed; 2 wrong use, or a field was refused; 3 not found; 4 refused as "
    "things stand; 5 unavailable; 6 done, but not enforced (or its holds not closed) in the time "
    "given; 7 you said no;\n"
    "token check: 10 refused, 11 no answer;\n"
    "policy test: 10 denied; policy lint, doctor, scan: 10 something was found.";

// "tollgate token revoke"; empty for nullptr.
std::string PathTo(const CLI::App& app, const CLI::App* command) {
  std::string path;
  for (const CLI::App* at = command; at != nullptr; at = at == &app ? nullptr : at->get_parent()) {
    path = path.empty() ? at->get_name() : absl::StrCat(at->get_name(), " ", path);
  }
  return path;
}

// Refuses values that no option may have. An empty value is a variable that nobody set: taken for
// "not given", it would make `--owner "$TEAM"` mean every owner. A token string is a secret, which
// must neither be sent to the wrong place nor be kept.
std::string CheckValue(const std::string& value) {
  if (value.empty()) {
    return "an empty value. Is a variable unset? Leave the option out to do without it";
  }
  if (token::HoldsTokenString(value)) {
    return "a token string belongs on no command line and in no field: it is a secret, and exposed "
           "now (in this shell's history). Revoke it: tollgate token revoke --leaked";
  }
  return "";
}

// Every option, of every command there is, is checked. A repeatable one takes one value each time:
// the word after that is another thing, as in `set-policy --grantable-scope deploy:read acme`.
void CheckValues(CLI::App* app) {
  for (CLI::Option* option : app->get_options()) {
    if (!option->get_lnames().empty() && option->get_expected_max() > 1) {
      option->allow_extra_args(false);
    }
    // A flag has no value; the settings' file has checks of its own.
    if (option->get_expected_min() > 0 && option != app->get_config_ptr()) {
      option->check(CheckValue);
    }
  }
  for (CLI::App* sub : app->get_subcommands([](CLI::App*) { return true; })) CheckValues(sub);
}

// The first `--name=` with nothing behind it, without the `=`: CLI11 would take the next word for
// its value, whatever that word is.
std::string FirstWithoutValue(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    if (absl::StartsWith(argument, "--") && argument.find('=') == argument.size() - 1) {
      return argument.substr(0, argument.size() - 1);
    }
  }
  return "";
}

// The letters of a word like "-qw": flags, and at most one option that takes what follows; empty
// for any other word.
absl::string_view ShortFlags(absl::string_view word) {
  constexpr absl::string_view kAlone = "qyAh";  // those that take no value
  if (word.size() < 2 || word[0] != '-' || word[1] == '-') return absl::string_view();
  size_t letters = 1;
  while (letters < word.size() && absl::StrContains(kAlone, word[letters])) ++letters;
  return word.substr(1, letters);
}

// Whether the words themselves give the option; otherwise its value is the usual one, of the
// environment or the settings' file.
bool NamesOption(const std::vector<std::string>& arguments, const std::string& name, char letter) {
  for (const std::string& word : arguments) {
    if (word == "--") break;
    if (word == name || absl::StartsWith(word, name + "=")) return true;
    const absl::string_view cluster = ShortFlags(word);
    if (absl::StrContains(cluster, letter)) return true;
  }
  return false;
}

// Whether errors are to be printed as JSON, even where the words could not be read to their end.
bool WantsJson(const std::vector<std::string>& arguments, const CLI::App& app) {
  for (size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    const absl::string_view word = arguments[i];
    if (word == "--output") return i + 1 < arguments.size() && arguments[i + 1] == "json";
    if (absl::StartsWith(word, "--output=")) return word == "--output=json";
    const absl::string_view cluster = ShortFlags(word);
    if (!absl::EndsWith(cluster, "o")) continue;
    absl::string_view value = word.substr(1 + cluster.size());
    absl::ConsumePrefix(&value, "=");
    if (value.empty()) return i + 1 < arguments.size() && arguments[i + 1] == "json";
    return value == "json";
  }
  // The settings' file may have been read, and the environment after it.
  const CLI::Option* option = app.get_option("--output");
  if (!option->empty()) return option->results().back() == "json";
  const char* usual = std::getenv("TOLLGATE_OUTPUT");
  return usual != nullptr && absl::string_view(usual) == "json";
}

// "; did you mean 'revoke'?", or nothing where no name is near.
std::string DidYouMean(absl::string_view word, const std::vector<std::string>& names) {
  // NearMiss compares words whose parts are joined by `_`.
  std::vector<std::string> folded;
  folded.reserve(names.size());
  for (const std::string& name : names) folded.push_back(absl::StrReplaceAll(name, {{"-", "_"}}));
  const std::string near =
      policy::NearMiss(word, std::vector<absl::string_view>(folded.begin(), folded.end()));
  for (size_t i = 0; i < names.size() && !near.empty(); ++i) {
    if (folded[i] == near) return absl::StrCat("; did you mean '", names[i], "'?");
  }
  return "";
}

// The verbs of a noun, or the nouns, but not what is there for scripts.
std::vector<const CLI::App*> VerbsOf(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); });
}

std::vector<std::string> NamesOf(const std::vector<const CLI::App*>& verbs) {
  std::vector<std::string> names;
  names.reserve(verbs.size());
  for (const CLI::App* verb : verbs) names.push_back(verb->get_name());
  return names;
}

// The names of the options that may stand behind `asked`: its own, and those of all above it.
std::vector<std::string> OptionsAt(const CLI::App& app, const CLI::App* asked) {
  std::vector<std::string> names;
  for (const CLI::App* at = asked; at != nullptr; at = at == &app ? nullptr : at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

// The message about the first option among the words that is none; `what` where all are some.
std::string Unexpected(const CLI::App& app, const CLI::App* asked,
                       const std::vector<std::string>& words, const std::string& what) {
  const std::vector<std::string> names = OptionsAt(app, asked);
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.find('='));
    if (!absl::StartsWith(name, "--") || name == "--") continue;
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    return absl::StrCat("there is no ", name, DidYouMean(name, names));
  }
  return what;
}

// What people type by habit: `ls` and `show` are known wherever `list` and `get` are.
void AddAliases(CLI::App* app) {
  for (CLI::App* sub : app->get_subcommands([](CLI::App*) { return true; })) {
    if (sub->get_name() == "list") sub->alias("ls");
    if (sub->get_name() == "get") sub->alias("show");
    AddAliases(sub);
  }
}

// `help token create` asks what `token create --help` does.
std::vector<std::string> WithoutHelpWord(std::vector<std::string> arguments) {
  if (!arguments.empty() && arguments.front() == "help") {
    arguments.erase(arguments.begin());
    arguments.push_back("--help");
  }
  return arguments;
}

// The value of `--name value` or `--name=value` among the words; empty: it is not there. For what
// must be known before the words are read.
std::string ValueAmong(const std::vector<std::string>& words, const std::string& name) {
  for (size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    if (words[i] == name && i + 1 < words.size()) return words[i + 1];
    if (absl::StartsWith(words[i], name + "=")) return words[i].substr(name.size() + 1);
  }
  return "";
}

// Whether the words are about contexts: the first of them that is a command's name is `context`.
bool IsAboutContexts(const CLI::App& app, const std::vector<std::string>& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--context" || word == "--workspace" || word == "-w" || word == "--service") {
      ++i;  // its value is no command
      continue;
    }
    const auto is_named = [&word](const CLI::App* sub) { return sub->get_name() == word; };
    if (!app.get_subcommands(is_named).empty()) return word == "context";
  }
  return false;
}

// The message where `asked` needs one of its verbs; names the word that is none of them.
std::string WantsOneOf(const CLI::App& app, const CLI::App* asked,
                       const std::vector<const CLI::App*>& verbs) {
  const std::string names = absl::StrJoin(verbs, ", ", [](std::string* out, const CLI::App* verb) {
    absl::StrAppend(out, verb->get_name());
  });
  const std::vector<std::string> unknown = app.remaining(true);
  const bool top = asked == &app;
  const std::string wants =
      top ? "wants a command: " : absl::StrCat("'", asked->get_name(), "' wants one of: ");
  if (unknown.empty()) return absl::StrCat(wants, names);
  if (absl::StartsWith(unknown.front(), "-")) {
    return absl::StrCat("there is no option '", unknown.front(), "' here; ", wants, names);
  }
  return absl::StrCat(
      top ? "there is no command" : absl::StrCat("'", asked->get_name(), "' has no"), " '",
      unknown.front(), "'", DidYouMean(unknown.front(), NamesOf(verbs)), "; one of: ", names);
}

void AddSettings(CLI::App& app, Settings& settings) {
  app.add_option("--service", settings.service, "The service, as HOST:PORT or unix:/path")
      ->envname("TOLLGATE_SERVICE")
      ->capture_default_str();
  app.add_option("--context", settings.context,
                 "The settings of this name (tollgate context), instead of those in use")
      ->envname("TOLLGATE_CONTEXT");
  app.add_option("--edge", settings.edge, "The validator that 'token check' asks")
      ->envname("TOLLGATE_EDGE")
      ->capture_default_str();
  app.add_option("--token-file", settings.token_file,
                 "The file of the operator token that calls to the service bring")
      ->envname("TOLLGATE_TOKEN_FILE");
  app.add_option("--tls-cert", settings.tls.cert, "This client's certificate (PEM)")
      ->envname("TOLLGATE_TLS_CERT");
  app.add_option("--tls-key", settings.tls.key, "Its key (PEM)")->envname("TOLLGATE_TLS_KEY");
  app.add_option("--tls-ca", settings.tls.ca, "Who signs the service's certificate (PEM)")
      ->envname("TOLLGATE_TLS_CA");
  app.add_flag("--allow-plaintext", settings.allow_plaintext,
               "Speak plaintext to an address other hosts can reach")
      ->envname("TOLLGATE_ALLOW_PLAINTEXT");
  app.add_option("-o,--output", settings.output,
                 "table for people, json for programs; of lists also wide (a table with every "
                 "column), name and csv")
      ->check(CLI::IsMember({"table", "json", "wide", "name", "csv"}))
      ->envname("TOLLGATE_OUTPUT")
      ->capture_default_str();
  app.add_option("--color", settings.colour,
                 "Colours in tables: at a terminal, unless NO_COLOR is set")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  app.add_flag("-q,--quiet", settings.quiet,
               "Only what was asked for: an id, a secret, or nothing");
  app.add_option("--timeout", settings.timeout, "For one call")
      ->envname("TOLLGATE_TIMEOUT")
      ->capture_default_str();
}

}  // namespace

int RunCommand(const std::vector<std::string>& words, Terminal terminal) {
  const std::vector<std::string> arguments = ForCompletion(WithoutHelpWord(words));
  Context context(terminal);
  CLI::App app("Issue, list, rotate and revoke workspace tokens, and see revocation enforced.",
               "tollgate");
  app.formatter(NarrowHelp());
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();  // --service and its like are taken after the verb as well
  app.set_version_flag("--version", std::string("tollgate ") + base::kVersion);
  AddSettings(app, context.settings());
  AddTokenCommands(app, context);
  AddWorkspaceCommands(app, context);
  AddStatusCommand(app, context);
  AddAccessCommands(app, context);
  AddEventsCommands(app, context);
  AddAuditCommands(app, context);
  AddValidatorsCommands(app, context);
  AddBackupCommands(app, context);
  AddClockCommands(app, context);
  AddPolicyCommands(app, context);
  AddDoctorCommands(app, context);
  AddScanCommand(app, context);
  AddContextCommands(app, context);
  AddCompletionCommand(app, context);
  app.add_subcommand("help", "What a command does: tollgate help token create");
  AddAliases(&app);
  const std::string context_typed = ValueAmong(arguments, "--context");
  const std::string context_named = context_typed.empty() ? UsualContext() : context_typed;
  // A context whose file is wrong or gone must not keep another one from being used.
  const bool reads_settings = !IsAboutContexts(app, arguments);
  const std::string settings_file = reads_settings ? DefaultSettingsFile(context_typed) : "";
  const auto file = std::make_shared<SettingsFile>(&app, settings_file,
                                                   /*over_environment=*/!context_typed.empty());
  app.config_formatter(file);
  app.allow_config_extras(false);
  // The default is the file that TOLLGATE_CONFIG names, because CLI11 reads the file before it
  // looks at the environment.
  CLI::Option* const config =
      app.set_config("--config", settings_file, "A file of settings",
                     reads_settings && SettingsFileIsAskedFor(context_typed));
  if (context_typed.empty()) config->envname("TOLLGATE_CONFIG");
  app.add_subcommand("version", "This program's version")->callback([&context] {
    if (context.settings().json()) {
      context.out() << "{\n  \"version\": " << JsonString(base::kVersion) << "\n}\n";
    } else if (context.settings().quiet) {
      context.out() << base::kVersion << '\n';
    } else {
      context.out() << "tollgate " << base::kVersion << '\n';
    }
  });

  // Before any command runs.
  app.parse_complete_callback([&] {
    const bool typed = NamesOption(arguments, "--output", 'o');
    const absl::Status form = context.CheckForm(DeepestNamed(app), typed);
    if (!form.ok()) throw CLI::ValidationError("--output", std::string(form.message()));
  });
  CheckValues(&app);
  const FlagNames flags(&app);
  context.NameFlags(&flags);
  context.settings().workspace_typed = NamesOption(arguments, "--workspace", 'w');

  const auto misused = [&](const std::string& what, const std::string& see) {
    if (WantsJson(arguments, app)) {
      PrintErrorJson(absl::InvalidArgumentError(what), context.err());
    } else {
      context.err() << "tollgate: " << what << '\n' << see;
    }
    return kBadUsage;
  };
  if (!context_typed.empty() && !ValueAmong(arguments, "--config").empty()) {
    return misused("--context and --config name two files of settings: give one of the two", "");
  }
  if (const std::string bare = FirstWithoutValue(arguments); !bare.empty()) {
    return misused(absl::StrCat(bare, ": ", CheckValue("")), "");
  }
  // "--sort -created": CLI11 would take the second word for options.
  std::vector<std::string> joined;
  for (const std::string& word : arguments) {
    const bool descending = !joined.empty() && joined.back() == "--sort" && word.size() > 1 &&
                            word[0] == '-' && word[1] != '-';
    if (descending) {
      joined.back() += "=" + word;
    } else {
      joined.push_back(word);
    }
  }
  std::vector<std::string> reversed(joined.rbegin(), joined.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp& help) {
    const CLI::App* asked = DeepestNamed(app);
    const std::vector<std::string> unknown = app.remaining(true);
    if (!unknown.empty() && !absl::StartsWith(unknown.front(), "-") && !VerbsOf(*asked).empty()) {
      return misused(WantsOneOf(app, asked, VerbsOf(*asked)),
                     absl::StrCat("  See: ", PathTo(app, asked), " --help\n"));
    }
    context.out() << asked->help(PathTo(app, asked->get_parent()));
    return kDone;
  } catch (const CLI::Success& success) {  // --version
    context.out() << success.what() << '\n';
    return kDone;
  } catch (const CLI::ParseError& error) {
    const CLI::App* asked = DeepestNamed(app);
    std::string what = error.what();
    const std::vector<const CLI::App*> verbs = VerbsOf(*asked);
    if (error.get_name() == "RequiredError" && !verbs.empty()) what = WantsOneOf(app, asked, verbs);
    if (error.get_name() == "FileError" && !context_named.empty()) {
      const absl::Status known = ContextStore::OfThisPerson().CheckExists(context_named);
      if (!known.ok()) what = std::string(known.message());
    }
    // What a misspelt option left out is said to be missing.
    const bool misspelt = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError) ||
                          error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError);
    if (misspelt) what = Unexpected(app, asked, arguments, what);
    const std::string place = file->PlaceOf(what);
    const bool in_file = !place.empty() || error.get_name() == "ConfigError";
    return misused(absl::StrCat(place, what),
                   absl::StrCat("  See: ", PathTo(app, in_file ? &app : asked), " --help\n"));
  }
  // A full disk or a closed pipe must not look like success.
  if (!context.out().flush()) {
    const bool json = context.settings().json();
    if (!json) {
      context.err() << "tollgate: the answer could not be written to standard output\n";
    } else if (context.exit_code == kDone) {  // else it has told of an error: one is enough
      context.Say(absl::InternalError("the answer could not be written to standard output"));
    }
    if (context.exit_code == kDone) context.exit_code = kFailed;
  }
  return context.exit_code;
}
}  // namespace tollgate::cli
