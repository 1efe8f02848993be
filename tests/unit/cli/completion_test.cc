// The completion scripts, in the shells they are for. A shell that is not installed shows as
// skipped.
#include "cli/commands/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/command_line.h"

namespace tollgate::cli {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using testing::UnorderedElementsAre;

std::string ScriptFile(const std::string& shell) {
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(
      RunCommand({"completion", shell}, {&in, &out, &err, false, false, &base::SystemClock()}),
      kDone);
  const std::string path =
      absl::StrCat(testing::TempDir(), "/tollgate-completion.", getpid(), ".", shell);
  std::ofstream(path) << out.str();
  return path;
}

bool Installed(const std::string& shell) {
  return std::system(absl::StrCat("command -v ", shell, " >/dev/null").c_str()) == 0;
}

// What a program prints, a word a line; `program` is kept in a file, so that it needs no quoting.
std::vector<std::string> Lines(const std::string& shell, const std::string& program) {
  const std::string path =
      absl::StrCat(testing::TempDir(), "/tollgate-completion.", getpid(), ".run");
  std::ofstream(path) << program;
  FILE* const pipe = popen(absl::StrCat("timeout 60 ", shell, " ", path, " 2>&1").c_str(), "r");
  std::string text;
  std::array<char, 4096> part;
  size_t read;
  while ((read = fread(part.data(), 1, part.size(), pipe)) > 0) text.append(part.data(), read);
  EXPECT_EQ(pclose(pipe), 0) << text;
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

// `words`: what is typed, as bash splits it, the last one being completed.
std::vector<std::string> InBash(const std::string& words) {
  return Lines("bash --norc", absl::StrCat("source ", ScriptFile("bash"), "\nCOMP_WORDS=(", words,
                                           ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_tollgate\n"
                                           "printf '%s\\n' \"${COMPREPLY[@]}\"\n"));
}

// `line`: what is typed; the words that fish offers, without their descriptions.
std::vector<std::string> InFish(const std::string& line) {
  std::vector<std::string> words =
      Lines("fish --no-config",
            absl::StrCat("source ", ScriptFile("fish"), "\ncomplete -C'", line, "'\n"));
  for (std::string& word : words) word = word.substr(0, word.find('\t'));
  return words;
}

// `line`: what is typed; how the line looks after the Tab key, in an interactive zsh on a terminal
// of its own.
std::string InZsh(const std::string& line) {
  const std::vector<std::string> lines = Lines("zsh -f", absl::StrCat(R"zsh(zmodload zsh/zpty
zpty -b shell "TERM=dumb zsh -f -i"
zpty -w shell 'PS1=; autoload -U compinit; compinit -D -u; source )zsh",
                                                                      ScriptFile("zsh"), R"zsh('
zpty -w shell 'tab() { zle complete-word; print -r -- "<now: $BUFFER>"; exit }; zle -N tab'
zpty -w shell "bindkey '^I' tab; print -r -- '<'ready'>'"
zpty -r shell text '*<ready>*'
zpty -w -n shell ')zsh",
                                                                      line, R"zsh('$'\t'
while [[ $all != *'<now: '*'>'* ]]; do
  zpty -r -t shell text && all+=$text || sleep 0.02
done
all=${all##*<now: }
print -r -- "${all%%>*}"
)zsh"));
  return lines.empty() ? "" : lines.back();
}

TEST(Completion, BashOffersCommands) {
  EXPECT_THAT(InBash("tollgate ''"), IsSupersetOf({"token", "workspace", "completion"}));
  EXPECT_THAT(InBash("tollgate token re"), UnorderedElementsAre("resume", "retire", "revoke"));
}

TEST(Completion, BashOffersClosedSets) {
  EXPECT_THAT(InBash("tollgate completion ''"), UnorderedElementsAre("bash", "fish", "zsh"));
  EXPECT_THAT(InBash("tollgate -o ''"),
              UnorderedElementsAre("csv", "json", "name", "table", "wide"));
  EXPECT_THAT(InBash("tollgate token list --output = j"), UnorderedElementsAre("json"));
  EXPECT_THAT(InBash("tollgate token list --output ="),
              UnorderedElementsAre("csv", "json", "name", "table", "wide"));
  EXPECT_THAT(InBash("tollgate token list --state re"),
              UnorderedElementsAre("retiring", "revoked"));
  EXPECT_THAT(InBash("tollgate workspace set-policy acme --unset max"),
              UnorderedElementsAre("max_lifetime", "max_live_tokens", "max_unused"));
}

TEST(Completion, BashOffersFlagsOfThePlaceAndTheSettings) {
  EXPECT_THAT(InBash("tollgate token list --serv"), UnorderedElementsAre("--service"));
  EXPECT_THAT(InBash("tollgate token list --un"), UnorderedElementsAre("--unused-for"));
  EXPECT_THAT(InBash("tollgate token get --"), Not(Contains("--unused-for")));
  EXPECT_THAT(InBash("tollgate --ver"), UnorderedElementsAre("--version"));
}

TEST(Completion, BashTakesAFlagsValueForNoCommand) {
  EXPECT_THAT(InBash("tollgate --service token workspace l"), UnorderedElementsAre("list"));
  EXPECT_THAT(InBash("tollgate token list --label l"), IsEmpty());
}

TEST(Completion, BashOffersFilesWhereOneIsWanted) {
  const std::string path = ScriptFile("bash");
  EXPECT_THAT(InBash(absl::StrCat("tollgate --tls-ca ", path.substr(0, path.size() - 1))),
              Contains(path));
}

TEST(Completion, BashOffersFilesToACommandThatReadsOne) {
  const std::string file = ScriptFile("bash");
  const std::string begin = file.substr(0, file.size() - 6);
  EXPECT_THAT(InBash(absl::StrCat("tollgate policy test ", begin)), Contains(file));
}

// Stands for the program, in the shells' own words: it offers tokens, and repeats what it was
// asked.
constexpr char kStandIn[] =
    "tollgate() {\n"
    "  echo \"$@\" >> \"$ASKED\"\n"
    "  printf '4mXp81QzR0aYc7Ld\\tCI deploy key: GitHub\\n9sVb02KqT5eWx1Nf\\tZapier import\\n'\n"
    "}\n";

std::string AskedFile() {
  return absl::StrCat(testing::TempDir(), "/tollgate-completion.", getpid(), ".asked");
}

std::vector<std::string> InBashWithTokens(const std::string& words) {
  return Lines("bash --norc", absl::StrCat("ASKED=", AskedFile(), "\n: > $ASKED\n", kStandIn,
                                           "source ", ScriptFile("bash"), "\nCOMP_WORDS=(", words,
                                           ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_tollgate\n"
                                           "printf '%s\\n' \"${COMPREPLY[@]}\"\ncat $ASKED >&2\n"));
}

TEST(Completion, BashOffersWhatTheServiceHas) {
  EXPECT_THAT(InBashWithTokens("tollgate --service a:1 token revoke -w acme ''"),
              UnorderedElementsAre("4mXp81QzR0aYc7Ld", "9sVb02KqT5eWx1Nf",
                                   "complete-values token -- --service a:1 token revoke -w acme"));
  EXPECT_THAT(InBashWithTokens("tollgate token get 9s"),
              UnorderedElementsAre("9sVb02KqT5eWx1Nf", "complete-values token -- token get"));
  EXPECT_THAT(InBashWithTokens("tollgate token get deploy"),
              UnorderedElementsAre("4mXp81QzR0aYc7Ld", "complete-values token -- token get"))
      << "by a part of its label";
  EXPECT_THAT(InBashWithTokens("tollgate token list -w ''"),
              Contains("complete-values workspace -- token list -w"));
  EXPECT_THAT(InBashWithTokens("tollgate token list --owner ''"),
              Contains("complete-values owner -- token list --owner"));
  EXPECT_THAT(InBashWithTokens("tollgate context use ''"),
              Contains("complete-values context -- context use"));
}

// Bash puts what is offered on the command line as it is.
TEST(Completion, BashQuotesOtherPeoplesText) {
  const std::vector<std::string> offered = Lines(
      "bash --norc",
      absl::StrCat("tollgate() { printf '%s\\t\\n' 'x;touch${IFS}/tmp/p' 'x$(id)'; }\nsource ",
                   ScriptFile("bash"),
                   "\nCOMP_WORDS=(tollgate token list --owner x)\nCOMP_CWORD=4\n_tollgate\n"
                   "printf '%s\\n' \"${COMPREPLY[@]}\"\n"));
  EXPECT_THAT(offered, UnorderedElementsAre("x\\;touch\\$\\{IFS\\}/tmp/p", "x\\$\\(id\\)"));
}

TEST(Completion, BashJoinsWhatItHasParted) {
  EXPECT_THAT(InBashWithTokens("tollgate --service localhost : 7411 token get -w acme 9"),
              Contains("complete-values token -- --service localhost:7411 token get -w acme"));
  EXPECT_THAT(InBashWithTokens("tollgate --service = unix : /run/x token get 9"),
              Contains("complete-values token -- --service unix:/run/x token get"));
}

// A stand-in for a daemon, whose --help has the shape of theirs (net/daemon_flags.h).
constexpr char kDaemon[] =
    "tollgated() { [ \"$1\" = --help ] && printf '%s\\n' 'Usage: tollgated --store DIR [flags]' '' "
    "'Store:' '  --store DIR                 The directory' '  --no-journal                Keep "
    "none' '  --drain-pause DURATION      So long'; }\n";

std::vector<std::string> DaemonInBash(const std::string& words) {
  return Lines("bash --norc",
               absl::StrCat(kDaemon, "source ", ScriptFile("bash"), "\nCOMP_WORDS=(", words,
                            ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_tollgate_daemon tollgated\n"
                            "printf '%s\\n' \"${COMPREPLY[@]}\"\n"));
}

TEST(Completion, BashOffersTheDaemonsFlagsAsTheirHelpListsThem) {
  EXPECT_THAT(DaemonInBash("tollgated --"),
              UnorderedElementsAre("--store", "--no-journal", "--drain-pause"));
  EXPECT_THAT(DaemonInBash("tollgated --no-journal --s"), UnorderedElementsAre("--store"));
  EXPECT_THAT(DaemonInBash("tollgated --drain-pause ''"), IsEmpty());
  const std::string path = ScriptFile("bash");
  const std::string part = path.substr(0, path.size() - 2);
  EXPECT_THAT(DaemonInBash("tollgated --store " + part), Contains(path));
  EXPECT_THAT(DaemonInBash("tollgated --store = " + part), Contains(path));
}

TEST(Completion, FishOffersTheDaemonsFlags) {
  if (!Installed("fish")) GTEST_SKIP() << "fish is not installed: apt-get install fish";
  const std::vector<std::string> offered = Lines(
      "fish --no-config",
      absl::StrCat("function tollgated\n  echo '  --store DIR                 The directory'\nend\n"
                   "source ",
                   ScriptFile("fish"), "\ncomplete -C'tollgated --'\n"));
  EXPECT_THAT(offered, Contains("--store\tThe directory"));
}

TEST(Completion, FishOffersWhatTheServiceHas) {
  if (!Installed("fish")) GTEST_SKIP() << "fish is not installed: apt-get install fish";
  std::vector<std::string> words =
      Lines("fish --no-config",
            absl::StrCat("function tollgate\n  printf '4mXp81QzR0aYc7Ld\\tCI deploy key\\n'\nend\n"
                         "source ",
                         ScriptFile("fish"), "\ncomplete -C'tollgate token get '\n"));
  EXPECT_THAT(words, UnorderedElementsAre("4mXp81QzR0aYc7Ld\tCI deploy key"));
}

TEST(Completion, OnlyWhatSaysWhomToAskIsHandedOn) {
  EXPECT_THAT(ForCompletion({"complete-values", "token", "--", "--service", "a:1", "token",
                             "revoke", "--reason", "x", "--workspace=acme", "--all"}),
              testing::ElementsAre("--timeout", "1s", "complete-values", "token", "--service",
                                   "a:1", "--workspace=acme"));
  EXPECT_THAT(ForCompletion({"token", "list"}), testing::ElementsAre("token", "list"));
}

TEST(Completion, ZshCompletesOnATerminal) {
  if (!Installed("zsh")) GTEST_SKIP() << "zsh is not installed: apt-get install zsh";
  EXPECT_EQ(InZsh("tollgate token li"), "tollgate token list ");
  EXPECT_EQ(InZsh("tollgate completion fi"), "tollgate completion fish ");
  EXPECT_EQ(InZsh("tollgate -o js"), "tollgate -o json ");
  EXPECT_EQ(InZsh("tollgate token list --output=js"), "tollgate token list --output=json ");
  EXPECT_EQ(InZsh("tollgate token list --state ret"), "tollgate token list --state retiring ");
  EXPECT_EQ(InZsh("tollgate token list --serv"), "tollgate token list --service ");
  EXPECT_EQ(InZsh("tollgate --service token workspace l"),
            "tollgate --service token workspace list ");
}

TEST(Completion, FishCompletes) {
  if (!Installed("fish")) GTEST_SKIP() << "fish is not installed: apt-get install fish";
  EXPECT_THAT(InFish("tollgate token li"), UnorderedElementsAre("list"));
  EXPECT_THAT(InFish("tollgate completion "), UnorderedElementsAre("bash", "fish", "zsh"));
  EXPECT_THAT(InFish("tollgate -o "), UnorderedElementsAre("csv", "json", "name", "table", "wide"));
  EXPECT_THAT(InFish("tollgate token list --output=j"), UnorderedElementsAre("--output=json"));
  EXPECT_THAT(InFish("tollgate token list --state re"),
              UnorderedElementsAre("retiring", "revoked"));
  EXPECT_THAT(InFish("tollgate token list --serv"), UnorderedElementsAre("--service"));
  EXPECT_THAT(InFish("tollgate token get --unus"), IsEmpty());
  EXPECT_THAT(InFish("tollgate --service token workspace l"), UnorderedElementsAre("list"));
}

TEST(Completion, EveryShellKnowsEveryCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    std::ifstream file(ScriptFile(shell));
    const std::string script((std::istreambuf_iterator<char>(file)),
                             std::istreambuf_iterator<char>());
    for (const char* word : {"create", "revoke", "set-policy", "events", "watch", "verify"}) {
      EXPECT_THAT(script, testing::HasSubstr(word)) << shell;
    }
  }
}

}  // namespace
}  // namespace tollgate::cli
