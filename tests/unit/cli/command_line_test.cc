// The command line without a service: use, help, completion, and what a dead address says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "cli/context.h"

namespace tollgate {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome Tollgate(std::vector<std::string> arguments, const std::string& input = "",
                 bool in_is_terminal = false) {
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  Terminal terminal{&in, &out, &err, in_is_terminal, false, &SystemClock()};
  const int code = RunCommand(arguments, terminal);
  return {code, out.str(), err.str()};
}

TEST(CommandLine, WithoutWordsSaysWhereHelpIs) {
  const Outcome outcome = Tollgate({});
  EXPECT_EQ(outcome.code, kBadUsage);
  EXPECT_THAT(outcome.err, HasSubstr("tollgate --help"));
}

TEST(CommandLine, HelpTellsExitCodes) {
  const Outcome outcome = Tollgate({"--help"});
  EXPECT_EQ(outcome.code, kDone);
  EXPECT_THAT(outcome.out, HasSubstr("Exit codes"));
  EXPECT_THAT(Tollgate({"token", "revoke", "--help"}).out, HasSubstr("--leaked"));
}

TEST(CommandLine, VersionIsTheProjects) {
  std::ifstream cmake(std::string(TOLLGATE_SOURCE_DIR) + "/CMakeLists.txt");
  const std::string text((std::istreambuf_iterator<char>(cmake)), std::istreambuf_iterator<char>());
  const Outcome outcome = Tollgate({"version"});
  const std::string version = outcome.out.substr(outcome.out.find(' ') + 1);
  EXPECT_THAT(text, HasSubstr("VERSION " + version.substr(0, version.size() - 1) + " "));
}

TEST(CommandLine, RefusesWrongUseBeforeItConnects) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"token", "create", "-w", "acme"},    // no label
           {"token", "create", "--label", "x"},  // no workspace
           {"token", "list", "-w", "acme", "--state", "asleep"},
           {"token", "list", "-w", "acme", "--unused-for", "never"},
           {"token", "revoke"},
           {"token", "revoke", "id", "-w", "acme", "--all"},
           {"token", "revoke", "--edge-digest", "12"},
           {"token", "update", "id", "-w", "acme"},
           {"token", "rotate", "id", "-w", "acme", "--retire-in", "1d", "--retire-when-silent",
            "1d"},
           {"workspace", "set-policy", "acme"},
           {"--service", "nowhere", "workspace", "list"},
           {"--service", "192.0.2.1:7411", "workspace", "list"},  // plaintext over a network
           {"completion", "tcsh"},
           {"frobnicate"},
       }) {
    const Outcome outcome = Tollgate(arguments);
    EXPECT_EQ(outcome.code, kBadUsage) << testing::PrintToString(arguments) << outcome.err;
    EXPECT_NE(outcome.err, "") << testing::PrintToString(arguments);
  }
}

TEST(CommandLine, SaysThatNothingAnswers) {
  const Outcome outcome = Tollgate(
      {"--service", "unix:/nonexistent/tollgate.sock", "--timeout", "2s", "workspace", "list"});
  EXPECT_EQ(outcome.code, kUnavailable);
  EXPECT_THAT(outcome.err, HasSubstr("unix:/nonexistent/tollgate.sock"));
}

TEST(CommandLine, ReadsSettingsFromAFile) {
  const std::string path =
      absl::StrCat(testing::TempDir(), "/tollgate-settings.", getpid(), ".toml");
  std::ofstream(path) << "service = \"unix:/nonexistent/from-file.sock\"\ntimeout = \"2s\"\n";
  EXPECT_THAT(Tollgate({"--config", path, "workspace", "list"}).err, HasSubstr("from-file.sock"));
  // A flag goes before the file.
  EXPECT_THAT(
      Tollgate({"--config", path, "--service", "unix:/nonexistent/flag.sock", "workspace", "list"})
          .err,
      HasSubstr("flag.sock"));
}

TEST(CommandLine, TheEnvironmentGoesBeforeTheFile) {
  const std::string path =
      absl::StrCat(testing::TempDir(), "/tollgate-precedence.", getpid(), ".toml");
  std::ofstream(path) << "service = \"unix:/nonexistent/from-file.sock\"\ntimeout = \"2s\"\n";
  setenv("TOLLGATE_SERVICE", "unix:/nonexistent/from-env.sock", 1);
  const Outcome outcome = Tollgate({"--config", path, "workspace", "list"});
  unsetenv("TOLLGATE_SERVICE");
  EXPECT_THAT(outcome.err, HasSubstr("from-env.sock"));
}

TEST(CommandLine, ASettingsFileWithSomethingElseIsRefused) {
  const std::string path = absl::StrCat(testing::TempDir(), "/tollgate-wrong.", getpid(), ".toml");
  std::ofstream(path) << "bogus = 1\n";
  const Outcome outcome = Tollgate({"--config", path, "version"});
  EXPECT_EQ(outcome.code, kBadUsage);
  EXPECT_THAT(outcome.err, HasSubstr("bogus"));
}

TEST(CommandLine, NeverEchoesATokenString) {
  const std::string secret = "tgw_" + std::string(65, 'x');
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"token", "check", secret},
                                             {secret},
                                             {"token", "list", "-w", "acme", "--limit", secret}}) {
    const Outcome outcome = Tollgate(arguments);
    EXPECT_EQ(outcome.code, kBadUsage);
    EXPECT_THAT(outcome.err, Not(HasSubstr(secret)));
  }
}

TEST(CommandLine, AnswersThatCannotBeWrittenAreNoSuccess) {
  std::istringstream in;
  std::ostringstream err;
  std::ofstream full("/dev/full");
  Terminal terminal{&in, &full, &err, false, false, &SystemClock()};
  EXPECT_EQ(RunCommand({"version"}, terminal), kFailed);
}

TEST(CommandLine, ErrorsAreJsonWhereAnswersAre) {
  const Outcome outcome = Tollgate({"-o", "json", "--service", "unix:/nonexistent/x.sock",
                                    "--timeout", "2s", "workspace", "list"});
  EXPECT_EQ(outcome.code, kUnavailable);
  EXPECT_THAT(outcome.err, HasSubstr("\"reason\": \"NOT_REACHED\""));
}

TEST(Completion, KnowsEveryVerb) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Outcome outcome = Tollgate({"completion", shell});
    EXPECT_EQ(outcome.code, kDone);
    for (const char* word : {"token", "create", "revoke", "workspace", "events", "watch"}) {
      EXPECT_THAT(outcome.out, HasSubstr(word)) << shell;
    }
  }
}

TEST(Completion, BashScriptCompletes) {
  const std::string path =
      absl::StrCat(testing::TempDir(), "/tollgate-completion.", getpid(), ".bash");
  std::ofstream(path) << Tollgate({"completion", "bash"}).out;
  const std::string script =
      "source " + path +
      "; COMP_WORDS=(tollgate token re); COMP_CWORD=2; _tollgate; echo \"${COMPREPLY[*]}\" > " +
      path + ".out";
  ASSERT_EQ(std::system(("bash -c '" + script + "'").c_str()), 0);
  std::ifstream in(path + ".out");
  std::string words;
  std::getline(in, words);
  EXPECT_THAT(words, HasSubstr("revoke"));
  EXPECT_THAT(words, HasSubstr("retire"));
  EXPECT_THAT(words, HasSubstr("resume"));
  EXPECT_THAT(words, Not(HasSubstr("create")));
}

}  // namespace
}  // namespace tollgate
