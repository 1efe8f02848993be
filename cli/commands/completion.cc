#include "cli/commands/completion.h"

#include <memory>
#include <ostream>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "cli/commands/audit_text.h"
#include "cli/commands/token.h"
#include "cli/commands/token_text.h"
#include "cli/context_store.h"
#include "tollgate/v1/token_service.grpc.pb.h"
#include "tollgate/v1/workspace_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

// What the shells' part calls a value that is a file's path; and values that are asked for when
// they are wanted, of `tollgate complete-values KIND`.
constexpr char kFile[] = "<file>";
constexpr char kTokens[] = "<token>";
constexpr char kWorkspaces[] = "<workspace>";
constexpr char kOwners[] = "<owner>";
constexpr char kContexts[] = "<context>";

struct Flag {
  std::vector<std::string> names;  // "--output", "-o"
  std::string description;
  bool takes_value = false;
  std::vector<std::string> values;  // of a closed set; kFile alone: a file
};

// One place where words can follow.
struct Place {
  std::string path;                                           // "tollgate/token/create"
  std::vector<std::pair<std::string, std::string>> commands;  // name, description
  std::vector<Flag> flags;
  std::vector<std::string> positional;  // of a closed set; kFile alone: a file
};

struct Grammar {
  std::vector<Place> places;   // the first is the program's own
  std::vector<Flag> settings;  // the program's flags that can follow any command
};

// The kind of the values that are asked for; empty: they are not.
std::string AskedKindOf(const CLI::App& app, const CLI::Option& option) {
  if (option.check_lname("workspace")) return kWorkspaces;
  if (option.check_lname("owner")) return kOwners;
  if (option.check_lname("token")) return kTokens;
  if (option.check_lname("context")) return kContexts;
  if (!option.get_positional()) return "";
  if (option.check_name("token") || option.check_name("tokens")) return kTokens;
  const std::string noun = app.get_parent() == nullptr ? "" : app.get_parent()->get_name();
  const bool makes_one = app.get_name() == "create";
  if (noun == "workspace" && !makes_one) return kWorkspaces;
  if (noun == "context" && !makes_one) return kContexts;
  return "";
}

// The closed set that an option's check names, "TEXT:{table,json}"; or that only the callers of the
// option know.
std::vector<std::string> ValuesOf(const CLI::App& app, const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t begin = type.find('{');
  const size_t end = type.find('}');
  if (begin != std::string::npos && end != std::string::npos && begin < end) {
    return absl::StrSplit(type.substr(begin + 1, end - begin - 1), ',');
  }
  for (const char* of_files :
       {"--config", "--token-file", "--tls-cert", "--tls-key", "--tls-ca", "file", "path"}) {
    if (option.check_name(of_files)) return {kFile};
  }
  if (const std::string kind = AskedKindOf(app, option); !kind.empty()) return {kind};
  if (option.check_lname("action")) return AuditActions();
  if (option.check_lname("sort")) {
    return {"label", "created", "last-used", "expires", "owner", "id"};
  }
  std::vector<std::string> states;
  if (option.check_lname("state")) {
    const google::protobuf::EnumDescriptor* all = tollgate::v1::TokenState_descriptor();
    for (int i = 1; i < all->value_count(); ++i) {  // 0 is "unspecified"
      states.push_back(
          absl::AsciiStrToLower(absl::StripPrefix(all->value(i)->name(), "TOKEN_STATE_")));
    }
  }
  return states;
}

void Collect(const CLI::App& app, const std::string& path, std::vector<Place>* places) {
  Place place{path, {}, {}, {}};
  const std::vector<const CLI::App*> commands =
      app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* command : commands) {
    if (command->get_group().empty()) continue;  // for scripts
    place.commands.emplace_back(command->get_name(), command->get_description());
  }
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      const std::vector<std::string> values = ValuesOf(app, *option);
      place.positional.insert(place.positional.end(), values.begin(), values.end());
    }
    if (option->get_lnames().empty()) continue;
    Flag flag;
    for (const std::string& name : option->get_lnames()) flag.names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) flag.names.push_back("-" + name);
    flag.description = option->get_description();
    flag.takes_value = option->get_items_expected_max() > 0;
    if (flag.takes_value) flag.values = ValuesOf(app, *option);
    place.flags.push_back(std::move(flag));
  }
  places->push_back(std::move(place));
  for (const CLI::App* command : commands) {
    Collect(*command, absl::StrCat(path, "/", command->get_name()), places);
  }
}

Grammar GrammarOf(const CLI::App& app) {
  Grammar grammar;
  Collect(app, "tollgate", &grammar.places);
  for (const Flag& flag : grammar.places.front().flags) {
    if (flag.names.front() != "--help" && flag.names.front() != "--version") {
      grammar.settings.push_back(flag);
    }
  }
  return grammar;
}

// In single quotes, for bash and zsh.
std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

// "word:description", as zsh's _describe wants it.
std::string Described(const std::string& word, const std::string& description) {
  return " " + Quoted(absl::StrCat(word, ":", description));
}

std::string DescribedFlags(const std::vector<Flag>& flags) {
  std::string text;
  for (const Flag& flag : flags) {
    absl::StrAppend(&text, Described(flag.names.front(), flag.description));
  }
  return text;
}

// The patterns of "$place $word" that name the flag at a place, or ("*") anywhere.
std::string Patterns(const std::string& place, const Flag& flag) {
  return absl::StrJoin(flag.names, "|", [&](std::string* out, const std::string& name) {
    absl::StrAppend(out, place == "*" ? "*" : "",
                    Quoted(absl::StrCat(place == "*" ? "" : place, " ", name)));
  });
}

// Calls visit(place's path or "*", flag) for all flags; what a place says itself comes first.
template <class Visit>
void ForEachFlag(const Grammar& grammar, Visit visit) {
  for (const Place& place : grammar.places) {
    if (&place == &grammar.places.front()) continue;
    for (const Flag& flag : place.flags) visit(place.path, flag);
  }
  for (const Flag& flag : grammar.settings) visit("*", flag);
}

// What bash and zsh share: prints what may stand for the word CUR, after the words before it.
std::string Offer(const Grammar& grammar) {
  std::string script =
      "_tollgate_offer() {  # CUR WORD...\n"
      "  local cur=\"$1\" word place=tollgate value=\"\"\n"
      "  shift\n"
      "  for word in \"$@\"; do\n"
      "    if [ -n \"$value\" ]; then value=\"\"; continue; fi\n"
      "    case \"$word\" in\n"
      "      --*=*) ;;\n"
      "      -*) case \"$place $word\" in\n";
  ForEachFlag(grammar, [&](const std::string& place, const Flag& flag) {
    if (!flag.takes_value) return;
    absl::StrAppend(&script, "        ", Patterns(place, flag), ") value=\"$word\" ;;\n");
  });
  absl::StrAppend(&script, "      esac ;;\n      *) case \"$place/$word\" in\n");
  for (const Place& place : grammar.places) {
    absl::StrAppend(&script, "        ", place.path, ") place=\"$place/$word\" ;;\n");
  }
  absl::StrAppend(&script,
                  "      esac ;;\n    esac\n  done\n"
                  "  if [ -n \"$value\" ]; then\n    case \"$place $value\" in\n");
  ForEachFlag(grammar, [&](const std::string& place, const Flag& flag) {
    if (flag.values.empty()) return;
    absl::StrAppend(&script, "      ", Patterns(place, flag), ") printf '%s\\n' ",
                    absl::StrJoin(flag.values, " ",
                                  [](std::string* out, const std::string& value) {
                                    out->append(Quoted(value));
                                  }),
                    " ;;\n");
  });
  absl::StrAppend(&script, "    esac\n    return\n  fi\n  case \"$cur:$place\" in\n");
  for (const Place& place : grammar.places) {
    std::string words;
    for (const auto& [name, description] : place.commands) {
      absl::StrAppend(&words, Described(name, description));
    }
    for (const std::string& word : place.positional) absl::StrAppend(&words, " ", Quoted(word));
    const std::string flags = DescribedFlags(place.flags);
    const bool first = &place == &grammar.places.front();
    absl::StrAppend(&script, "    -*:", place.path, ") printf '%s\\n'", flags,
                    first ? "" : DescribedFlags(grammar.settings), " ;;\n    *:", place.path,
                    ") printf '%s\\n'", words.empty() ? flags : words, " ;;\n");
  }
  absl::StrAppend(&script,
                  "  esac\n}\n"
                  "_tollgate_ask() {  # <KIND> WORD...: values, each with a tab and its label\n"
                  "  local kind=\"${1#<}\"\n"
                  "  shift\n"
                  "  tollgate complete-values \"${kind%>}\" -- \"$@\" 2>/dev/null\n"
                  "}\n");
  return script;
}

std::string Bash(const Grammar& grammar) {
  return absl::StrCat("# bash completion for tollgate: source <(tollgate completion bash)\n",
                      Offer(grammar),
                      R"bash(_tollgate_plain() {  # WORD, without the quotes that were typed
  local word="${1#[\"\']}"
  printf '%s' "${word//\\/}"
}
_tollgate() {
  local cur="${COMP_WORDS[COMP_CWORD]}" word
  local -a before=()
  # bash makes three words of --output=json, and of localhost:7411.
  local glue=""
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [[ ( $word == ":" || -n $glue ) && ${#before[@]} -gt 0 ]]; then
      before[${#before[@]}-1]+="$word"
      [[ $word == ":" ]] && glue=1 || glue=""
    elif [[ $word != "=" ]]; then
      before+=("$word")
    fi
  done
  [[ $cur == "=" ]] && cur=""
  COMPREPLY=()
  while IFS= read -r word; do
    if [[ $word == "<file>" ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$(_tollgate_plain "$cur")")
      break
    fi
    if [[ $word == "<"*">" ]]; then
      local value label
      while IFS=$'\t' read -r value label; do
        # By its name, or by a part of its label.
        [[ $value == "$cur"* || ( -n $cur && ${label,,} == *"${cur,,}"* ) ]] || continue
        # Bash puts it on the line as it is, and it is somebody else's text.
        printf -v value '%q' "$value"
        COMPREPLY+=("$value")
      done < <(_tollgate_ask "$word" "${before[@]}")
      continue
    fi
    word="${word%%:*}"
    [[ $word == "$cur"* ]] && COMPREPLY+=("$word")
  done < <(_tollgate_offer "$cur" "${before[@]}")
  return 0
}
complete -F _tollgate tollgate
_tollgate_daemon() {  # PROGRAM: the flags that its own --help lists
  local cur="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" help word
  if [[ $cur == "=" ]]; then
    cur=""
  elif [[ $before == "=" ]]; then
    before="${COMP_WORDS[COMP_CWORD-2]}"
  fi
  COMPREPLY=()
  help=$'\n'"$("$1" --help 2>/dev/null)"
  if [[ $before == --* && $help =~ $'\n  '"$before "([A-Z]+) ]]; then
    case "${BASH_REMATCH[1]}" in
      FILE|DIR|PATH)
        compopt -o filenames 2>/dev/null
        while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$(_tollgate_plain "$cur")")
        ;;
    esac
    return 0
  fi
  while IFS= read -r word; do
    [[ $word =~ ^"  "(--[a-z0-9-]+) && ${BASH_REMATCH[1]} == "$cur"* ]] && COMPREPLY+=("${BASH_REMATCH[1]}")
  done <<<"$help"
  return 0
}
complete -F _tollgate_daemon tollgated tollgate-validator
)bash");
}

std::string Zsh(const Grammar& grammar) {
  return absl::StrCat(
      "#compdef tollgate tollgated tollgate-validator\n"
      "# zsh completion for tollgate: source <(tollgate completion zsh), or keep it as _tollgate "
      "in "
      "a folder of $fpath\n",
      Offer(grammar),
      R"zsh(_tollgate() {
  if [[ $service == tollgate?* ]]; then  # a daemon: what its own --help lists
    _gnu_generic
    return
  fi
  local cur="${words[CURRENT]}" offered
  local -a before lines
  (( CURRENT > 2 )) && before=("${(@)words[2,CURRENT-1]}")
  if [[ $cur == --*=* ]]; then
    before+=("${cur%%=*}")
    cur="${cur#*=}"
    compset -P '*='
  fi
  offered="$(_tollgate_offer "$cur" "${before[@]}")"
  [[ -z $offered ]] && return 1
  [[ $offered == "<file>" ]] && { _files; return; }
  if [[ $offered == "<"*">" ]]; then
    offered="$(_tollgate_ask "$offered" "${before[@]}")"
    [[ -z $offered ]] && return 1
    # A value's own colons are no separators of _describe's.
    offered="${${offered//:/\\:}//$'\t'/:}"
  fi
  lines=("${(@f)offered}")
  _describe tollgate lines
}
if [[ ${zsh_eval_context[-1]} == loadautofunc ]]; then
  _tollgate "$@"
else
  (( $+functions[compdef] )) || { autoload -U compinit && compinit; }
  compdef _tollgate tollgate tollgated tollgate-validator
fi
)zsh");
}

// In single quotes, for fish.
std::string FishQuoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

bool IsAsked(const std::vector<std::string>& values) {
  return values.size() == 1 && values[0] != kFile && absl::StartsWith(values[0], "<");
}

std::string FishAsked(const std::vector<std::string>& values) {
  return absl::StrCat("'(__tollgate_ask ",
                      absl::StripSuffix(absl::StripPrefix(values[0], "<"), ">"), ")'");
}

std::string FishFlag(const Flag& flag, const std::string& condition) {
  std::string line = absl::StrCat("complete -c tollgate", condition);
  for (const std::string& name : flag.names) {
    absl::StrAppend(&line, absl::StartsWith(name, "--") ? " -l " : " -s ",
                    absl::StripPrefix(absl::StripPrefix(name, "-"), "-"));
  }
  if (flag.takes_value) {
    if (flag.values == std::vector<std::string>{kFile}) {
      absl::StrAppend(&line, " -r -F");
    } else if (IsAsked(flag.values)) {
      absl::StrAppend(&line, " -x -a ", FishAsked(flag.values));
    } else {
      absl::StrAppend(&line, " -x");
      if (!flag.values.empty()) {
        absl::StrAppend(&line, " -a ", FishQuoted(absl::StrJoin(flag.values, " ")));
      }
    }
  }
  return absl::StrCat(line, " -d ", FishQuoted(flag.description), "\n");
}

std::string Fish(const Grammar& grammar) {
  std::string script =
      "# fish completion for tollgate: tollgate completion fish | source\n"
      "function __tollgate_place\n"
      "  set -l place tollgate\n"
      "  set -l value no\n"
      "  set -l tokens (commandline -opc)\n"
      "  for word in $tokens[2..-1]\n"
      "    if test $value = yes\n      set value no\n      continue\n    end\n"
      "    switch $word\n"
      "      case '--*=*'\n"
      "      case '-*'\n"
      "        switch \"$place $word\"\n          case";
  ForEachFlag(grammar, [&](const std::string& place, const Flag& flag) {
    if (!flag.takes_value) return;
    for (const std::string& name : flag.names) {
      absl::StrAppend(&script, " ", FishQuoted(absl::StrCat(place, " ", name)));
    }
  });
  absl::StrAppend(&script,
                  "\n            set value yes\n        end\n"
                  "      case '*'\n        switch \"$place/$word\"\n          case");
  for (const Place& place : grammar.places) absl::StrAppend(&script, " ", FishQuoted(place.path));
  absl::StrAppend(&script,
                  "\n            set place \"$place/$word\"\n        end\n    end\n  end\n"
                  "  echo $place\nend\n"
                  "function __tollgate_at\n"
                  "  set -l place (__tollgate_place)\n"
                  "  test \"$place\" = \"$argv[1]\"\nend\n"
                  "function __tollgate_ask\n"
                  "  set -l words (commandline -opc)\n"
                  "  type -q tollgate; and tollgate complete-values $argv[1] -- $words[2..-1] "
                  "2>/dev/null\nend\n"
                  "complete -c tollgate -f\n");
  for (const Place& place : grammar.places) {
    const std::string condition = absl::StrCat(" -n '__tollgate_at ", place.path, "'");
    for (const auto& [name, description] : place.commands) {
      absl::StrAppend(&script, "complete -c tollgate", condition, " -a ", name, " -d ",
                      FishQuoted(description), "\n");
    }
    if (place.positional == std::vector<std::string>{kFile}) {
      absl::StrAppend(&script, "complete -c tollgate", condition, " -F\n");
    } else if (IsAsked(place.positional)) {
      absl::StrAppend(&script, "complete -c tollgate", condition, " -a ",
                      FishAsked(place.positional), "\n");
    } else if (!place.positional.empty()) {
      absl::StrAppend(&script, "complete -c tollgate", condition, " -a ",
                      FishQuoted(absl::StrJoin(place.positional, " ")), "\n");
    }
    for (const Flag& flag : place.flags) {
      const bool everywhere = &place == &grammar.places.front() && flag.names.front() != "--help" &&
                              flag.names.front() != "--version";
      absl::StrAppend(&script, FishFlag(flag, everywhere ? "" : condition));
    }
  }
  // What their own --help lists.
  for (const std::string program : {"tollgated", "tollgate-validator"}) {
    absl::StrAppend(&script, "complete -c ", program, " -a \"(type -q ", program, "; and ", program,
                    " --help 2>/dev/null | string replace -rf '^  (--[a-z0-9-]+)( [A-Z]+)?( +(.*))?"
                    "\\$' '\\$1\\t\\$4')\"\n");
  }
  return script;
}

}  // namespace

absl::StatusOr<std::string> CompletionScript(const CLI::App& app, const std::string& shell) {
  const Grammar grammar = GrammarOf(app);
  if (shell == "bash") return Bash(grammar);
  if (shell == "zsh") return Zsh(grammar);
  if (shell == "fish") return Fish(grammar);
  return absl::InvalidArgumentError(
      absl::StrCat("'", shell, "' is no shell it knows; one of bash, zsh, fish"));
}

namespace {

// As many as a person can look through, and as one answer of the service holds.
constexpr int kMostValues = 1000;

// A value and what tells it from others. Neither may hold what parts two of them.
void PrintValue(Context& context, absl::string_view value, absl::string_view label) {
  const auto plain = [](absl::string_view text) {
    return absl::StrReplaceAll(text, {{"\t", " "}, {"\n", " "}});
  };
  context.out() << plain(value) << '\t' << plain(label) << '\n';
}

absl::Status PrintTokens(Context& context, const std::string& workspace, bool owners) {
  tollgate::v1::ListTokensRequest request;
  ASSIGN_OR_RETURN(*request.mutable_parent(), ParentFrom(workspace));
  request.set_page_size(kMostValues);
  for (const tollgate::v1::TokenState state :
       {tollgate::v1::TOKEN_STATE_ACTIVE, tollgate::v1::TOKEN_STATE_SUSPENDED,
        tollgate::v1::TOKEN_STATE_RETIRING}) {
    request.mutable_filter()->add_states(state);
  }
  tollgate::v1::ListTokensResponse response;
  RETURN_IF_ERROR(context.Ask(&tollgate::v1::TokenService::Stub::ListTokens, request, &response));
  std::set<std::string> said;
  for (const tollgate::v1::Token& token : response.tokens()) {
    if (!owners) {
      PrintValue(context, token.token_id(), token.label());
    } else if (!token.owner().empty() && said.insert(token.owner()).second) {
      PrintValue(context, token.owner(), "");
    }
  }
  return absl::OkStatus();
}

absl::Status PrintWorkspaces(Context& context) {
  tollgate::v1::ListWorkspacesRequest request;
  request.set_page_size(kMostValues);
  tollgate::v1::ListWorkspacesResponse response;
  RETURN_IF_ERROR(
      context.Ask(&tollgate::v1::WorkspaceService::Stub::ListWorkspaces, request, &response));
  for (const tollgate::v1::Workspace& workspace : response.workspaces()) {
    PrintValue(context, absl::StripPrefix(workspace.name(), "workspaces/"), "");
  }
  return absl::OkStatus();
}

// What the shells ask for. A service that is not there, or does not answer soon, offers nothing.
void AddValues(CLI::App& app, Context& context) {
  struct Asked {
    std::string kind, workspace;
  };
  auto asked = std::make_shared<Asked>();
  CLI::App* verb = app.add_subcommand("complete-values", "Values of a kind, for completion");
  verb->group("");
  verb->add_option("kind", asked->kind)->required();
  AddWorkspaceOption(*verb, &asked->workspace);
  verb->callback([&context, asked] {
    absl::Status done;
    if (asked->kind == "token" || asked->kind == "owner") {
      done = PrintTokens(context, asked->workspace, asked->kind == "owner");
    } else if (asked->kind == "workspace") {
      done = PrintWorkspaces(context);
    } else if (asked->kind == "context") {
      for (const std::string& name : ContextStore::OfThisPerson().Names()) {
        PrintValue(context, name, "");
      }
    }
    if (!done.ok()) context.exit_code = kFailed;
  });
}

}  // namespace

std::vector<std::string> ForCompletion(std::vector<std::string> arguments) {
  constexpr absl::string_view kTold[] = {"--service",    "--context",   "--config",
                                         "--token-file", "--tls-cert",  "--tls-key",
                                         "--tls-ca",     "--workspace", "-w"};
  if (arguments.size() < 2 || arguments[0] != "complete-values") return arguments;
  // A person waits for this, and has asked for nothing.
  std::vector<std::string> words = {"--timeout", "1s", arguments[0], arguments[1]};
  for (size_t i = 2; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--allow-plaintext") words.push_back(word);
    for (const absl::string_view told : kTold) {
      if (word == told && i + 1 < arguments.size()) {
        words.insert(words.end(), {word, arguments[i + 1]});
      } else if (absl::StartsWith(word, absl::StrCat(told, "="))) {
        words.push_back(word);
      }
    }
  }
  return words;
}

void AddCompletionCommand(CLI::App& app, Context& context) {
  AddValues(app, context);
  auto shell = std::make_shared<std::string>();
  CLI::App* verb =
      app.add_subcommand("completion", "Print a completion script for bash, zsh or fish");
  verb->add_option("shell", *shell, "For which shell")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  verb->callback([&app, &context, shell] {
    absl::StatusOr<std::string> script = CompletionScript(app, *shell);
    if (script.ok()) context.out() << *script;
    context.Fail(script.status());
  });
}

}  // namespace tollgate::cli
