#include "cli/commands/completion.h"

#include <memory>
#include <ostream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/status.h"

namespace tollgate {
namespace {

// One place where words can follow: the path of subcommands to it, and the words.
struct Place {
  std::string path;  // "", "token", "token create"
  std::vector<std::string> words;
};

void Collect(const CLI::App& app, const std::string& path, std::vector<Place>* places) {
  Place place{path, {}};
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    place.words.push_back(sub->get_name());
  }
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) place.words.push_back("--" + name);
  }
  places->push_back(std::move(place));
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    Collect(*sub, path.empty() ? sub->get_name() : absl::StrCat(path, " ", sub->get_name()),
            places);
  }
}

std::string Bash(const std::vector<Place>& places) {
  std::string script =
      "# bash completion for tollgate: source <(tollgate completion bash)\n"
      "_tollgate() {\n"
      "  local word path=\"\" cur=\"${COMP_WORDS[COMP_CWORD]}\"\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    case \"$word\" in -*) ;; *) case \"$path $word\" in\n";
  std::vector<std::string> known;
  for (const Place& place : places) {
    if (!place.path.empty())
      known.push_back(
          absl::StrCat("'", place.path.find(' ') == std::string::npos ? " " : "", place.path, "'"));
  }
  absl::StrAppend(&script, "      ", absl::StrJoin(known, "|"),
                  ") path=\"${path:+$path }$word\" ;; esac ;;\n    esac\n  done\n"
                  "  case \"$path\" in\n");
  for (const Place& place : places) {
    absl::StrAppend(&script, "    '", place.path, "') COMPREPLY=($(compgen -W '",
                    absl::StrJoin(place.words, " "), "' -- \"$cur\")) ;;\n");
  }
  absl::StrAppend(&script, "  esac\n}\ncomplete -o default -F _tollgate tollgate\n");
  return script;
}

std::string Zsh(const std::vector<Place>& places) {
  return absl::StrCat(
      "#compdef tollgate\n# zsh completion for tollgate: source <(tollgate completion zsh)\n"
      "autoload -U +X bashcompinit && bashcompinit\n",
      Bash(places));
}

std::string Fish(const std::vector<Place>& places) {
  std::string script =
      "# fish completion for tollgate: tollgate completion fish | source\ncomplete -c tollgate "
      "-f\n";
  for (const Place& place : places) {
    std::string condition = "__fish_use_subcommand";
    if (!place.path.empty()) {
      const std::string seen =
          absl::StrReplaceAll(place.path, {{" ", "; and __fish_seen_subcommand_from "}});
      condition = absl::StrCat("__fish_seen_subcommand_from ", seen);
    }
    for (const std::string& word : place.words) {
      if (word.rfind("--", 0) == 0) {
        absl::StrAppend(&script, "complete -c tollgate -n '", condition, "' -l ", word.substr(2),
                        "\n");
      } else {
        absl::StrAppend(&script, "complete -c tollgate -n '", condition, "' -a ", word, "\n");
      }
    }
  }
  return script;
}

}  // namespace

absl::StatusOr<std::string> CompletionScript(const CLI::App& app, const std::string& shell) {
  std::vector<Place> places;
  Collect(app, "", &places);
  if (shell == "bash") return Bash(places);
  if (shell == "zsh") return Zsh(places);
  if (shell == "fish") return Fish(places);
  return absl::InvalidArgumentError(
      absl::StrCat("'", shell, "' is no shell it knows; one of bash, zsh, fish"));
}

void AddCompletionCommand(CLI::App& app, Context& context) {
  auto shell = std::make_shared<std::string>();
  CLI::App* verb =
      app.add_subcommand("completion", "Print a completion script for bash, zsh or fish");
  verb->add_option("shell", *shell, "bash, zsh or fish")->required();
  verb->callback([&app, &context, shell] {
    absl::StatusOr<std::string> script = CompletionScript(app, *shell);
    if (script.ok()) context.out() << *script;
    context.Fail(script.status());
  });
}

}  // namespace tollgate
