// The command line without a service: use, help, completion, and what a dead address says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "nlohmann/json.hpp"
#include "tests/unit/cli/outcome.h"
#include "token/token_string.h"

namespace tollgate::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

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
           {"token", "revoke", "4mXp81QzR0aYc7Ld", "-w", "acme", "--all"},
           {"token", "revoke", "--edge-digest", "12"},
           {"token", "revoke", "4mXp81QzR0aYc7Ld", "-w", "acme", "--wait-timeout",
            "5s"},  // without --wait
           {"events", "watch", "--count=-1"},
           {"token", "update", "4mXp81QzR0aYc7Ld", "-w", "acme"},
           {"token", "rotate", "4mXp81QzR0aYc7Ld", "-w", "acme", "--retire-in", "1d",
            "--retire-when-silent", "1d"},
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

TEST(CommandLine, EachOfTheTlsFilesIsHeeded) {
  const auto refusal = [](std::vector<std::string> files) {
    std::vector<std::string> words = {"--service", "127.0.0.1:1"};
    words.insert(words.end(), files.begin(), files.end());
    words.insert(words.end(), {"workspace", "list"});
    return Tollgate(words).err;
  };
  EXPECT_THAT(refusal({"--tls-key", "/nonexistent/k"}), HasSubstr("without its certificate"));
  EXPECT_THAT(refusal({"--tls-cert", "/nonexistent/c"}), HasSubstr("without its key"));
  EXPECT_THAT(refusal({"--tls-ca", "/nonexistent/ca"}), HasSubstr("/nonexistent/ca"));
}

TEST(CommandLine, ASettingsFileWithSomethingElseIsRefused) {
  const std::string path = absl::StrCat(testing::TempDir(), "/tollgate-wrong.", getpid(), ".toml");
  std::ofstream(path) << "bogus = 1\n";
  const Outcome outcome = Tollgate({"--config", path, "version"});
  EXPECT_EQ(outcome.code, kBadUsage);
  EXPECT_THAT(outcome.err, HasSubstr("bogus"));
}

// Wherever a secret may be put on the command line by mistake: no more than its public id is said,
// whether or not it is whole.
TEST(CommandLine, NeverEchoesATokenString) {
  base::SeededRandom random(7);
  const std::string whole(
      token::TokenFormat().Mint(token::TokenKind::kWorkspace, random).token_string.RevealSecret());
  const std::string fake = "tgw_" + std::string(65, 'x');
  for (const std::string& secret : {whole, whole.substr(0, whole.size() - 1), fake}) {
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"token", "check", secret},
             {secret},
             {"--" + secret},
             {"token", "list", "-w", "acme", "--limit", secret},
             {"token", "list", "-w", "acme", "--state", secret},
             {"token", "list", "-w", "acme", "--unused-for", secret},
             {"token", "get", secret, "-w", "acme"},
             {"token", "get", secret.substr(0, 40)},
             {"token", "create", "-w", "acme", "--label", "x", "--expires-in", secret},
             {"token", "create", "-w", "acme", "--label", "x", "--expires-at", secret},
             {"token", "create", "-w", "acme", "--label", "x", "--annotation", secret},
             {"token", "update", "4mXp81QzR0aYc7Ld", "-w", "acme", "--annotation", secret},
             {"completion", secret},
             {"--service", secret, "workspace", "list"},
             {"--service", "unix:/nonexistent/x.sock", "--tls-ca", secret, "workspace", "list"},
             {"--timeout", secret, "--service", "unix:/nonexistent/x.sock", "workspace", "list"},
             {"--config", secret, "workspace", "list"},
             {"-o", secret, "workspace", "list"},
         }) {
      for (const bool json : {false, true}) {
        std::vector<std::string> all = words;
        if (json) all.insert(all.begin(), {"-o", "json"});
        const Outcome outcome = Tollgate(all);
        EXPECT_NE(outcome.code, kDone) << testing::PrintToString(words);
        EXPECT_NE(outcome.err, "");
        EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr(secret.substr(20, 8))))
            << testing::PrintToString(words);
      }
    }
  }
}

// It is not sent anywhere either: refused before anything is connected.
TEST(CommandLine, ATokenStringIsNoOptionsValue) {
  base::SeededRandom random(7);
  const std::string secret(
      token::TokenFormat().Mint(token::TokenKind::kWorkspace, random).token_string.RevealSecret());
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"token", "get", "workspaces/acme/tokens/" + secret},
           {"token", "create", "-w", "acme", "--label", "CI " + secret},
           {"token", "create", "-w", "acme", "--label", "CI", "--scope", secret},
           {"token", "list", "-w", secret},
           {"token", "revoke", "4mXp81QzR0aYc7Ld", "-w", "acme", "--reason", "was " + secret},
           {"workspace", "set-policy", "acme", "--label-pattern", secret}}) {
    std::vector<std::string> all = words;
    all.insert(all.begin(), {"--service", "unix:/nonexistent/x.sock"});
    const Outcome outcome = Tollgate(all);
    EXPECT_EQ(outcome.code, kBadUsage) << testing::PrintToString(words);
    EXPECT_THAT(outcome.err, HasSubstr("revoke --leaked"));
  }
}

TEST(CommandLine, AnEdgeThatIsNotThereIsNoAnswer) {
  const Outcome outcome = Tollgate(
      {"--edge", "unix:/nonexistent/edge.sock", "--timeout", "2s", "token", "check"}, "tgw_x\n");
  EXPECT_EQ(outcome.code, kNoAnswer);
  EXPECT_THAT(outcome.err, HasSubstr("SOCKET_MISSING"));
  EXPECT_EQ(Tollgate({"--edge", "nowhere", "token", "check"}, "tgw_x\n").code, kBadUsage);
}

TEST(CommandLine, AnswersThatCannotBeWrittenAreNoSuccess) {
  std::istringstream in;
  std::ostringstream err;
  std::ofstream full("/dev/full");
  Terminal terminal{&in, &full, &err, false, false, &base::SystemClock()};
  EXPECT_EQ(RunCommand({"version"}, terminal), kFailed);
}

TEST(CommandLine, ErrorsAreJsonWhereAnswersAre) {
  const Outcome outcome = Tollgate({"-o", "json", "--service", "unix:/nonexistent/x.sock",
                                    "--timeout", "2s", "workspace", "list"});
  EXPECT_EQ(outcome.code, kUnavailable);
  EXPECT_THAT(outcome.err, HasSubstr("\"reason\": \"SOCKET_MISSING\""));
}

TEST(CommandLine, EveryWrongUseIsOneJsonObjectWhereAnswersAreJson) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"token", "list", "--nosuch", "-o", "json"},
           {"token", "revoke", "--edge-digest", "zz", "-o", "json"},
           {"-o", "json", "token", "list", "-w", "acme", "--limit", "many"},
           {"--output=json"},
           {"nosuch", "-ojson"},
           {"-o", "json", "token", "nosuch"},
           {"-o", "json", "token", "list", "--owner="},
           {"-o", "json", "token", "list", "--owner", ""},
           {"-o", "json", "--config", "/nonexistent/settings.toml", "version"},
           {"-o", "json", "token", "list"},  // which workspace?
       }) {
    const Outcome outcome = Tollgate(words);
    EXPECT_EQ(outcome.code, kBadUsage) << testing::PrintToString(words);
    const nlohmann::json error = nlohmann::json::parse(outcome.err, nullptr, false);
    ASSERT_TRUE(error.is_object()) << testing::PrintToString(words) << outcome.err;
    EXPECT_EQ(error["error"]["code"], "INVALID_ARGUMENT");
  }
  setenv("TOLLGATE_OUTPUT", "json", 1);
  EXPECT_TRUE(nlohmann::json::accept(Tollgate({"nosuch"}).err));
  EXPECT_FALSE(nlohmann::json::accept(Tollgate({"-o", "table", "nosuch"}).err));
  unsetenv("TOLLGATE_OUTPUT");
}

TEST(CommandLine, LettersStandTogether) {
  EXPECT_TRUE(nlohmann::json::accept(Tollgate({"-qo", "json", "nosuch"}).err));
  EXPECT_TRUE(nlohmann::json::accept(Tollgate({"-qojson", "nosuch"}).err));
  EXPECT_FALSE(
      nlohmann::json::accept(Tollgate({"token", "list", "--sort", "-owner", "--nosuch"}).err));
}

TEST(CommandLine, AnUnknownWordIsNamed) {
  EXPECT_THAT(Tollgate({"nosuch"}).err, HasSubstr("there is no command 'nosuch'; one of: token,"));
  EXPECT_THAT(Tollgate({"token", "nosuch"}).err, HasSubstr("'token' has no 'nosuch'; one of: "));
  EXPECT_THAT(Tollgate({"token", "nosuch"}).err, HasSubstr("See: tollgate token --help"));
  EXPECT_THAT(Tollgate({"token", "--nosuch"}).err, HasSubstr("there is no --nosuch"));
  EXPECT_THAT(Tollgate({"token"}).err, HasSubstr("'token' wants one of: "));
}

TEST(CommandLine, SaysWhatWasProbablyMeant) {
  EXPECT_THAT(Tollgate({"tokn"}).err,
              HasSubstr("there is no command 'tokn'; did you mean 'token'?"));
  EXPECT_THAT(Tollgate({"token", "revok"}).err,
              HasSubstr("'token' has no 'revok'; did you mean 'revoke'?"));
  EXPECT_THAT(Tollgate({"token", "create", "-w", "acme", "--label", "x", "--scoep", "a"}).err,
              HasSubstr("did you mean '--scope'?"));
  EXPECT_THAT(Tollgate({"token", "create", "-w", "acme", "--label", "x", "--timeuot", "1s"}).err,
              HasSubstr("did you mean '--timeout'?"));
  EXPECT_THAT(Tollgate({"token", "create", "-w", "acme", "--lable", "x"}).err,
              HasSubstr("there is no --lable; did you mean '--label'?"))
      << "and not that --label is missing";
  EXPECT_THAT(Tollgate({"frobnicate"}).err, Not(HasSubstr("did you mean")));
}

TEST(CommandLine, HelpIsAWordToo) {
  EXPECT_EQ(Tollgate({"help"}).out, Tollgate({"--help"}).out);
  EXPECT_EQ(Tollgate({"help", "token", "create"}).out, Tollgate({"token", "create", "--help"}).out);
  EXPECT_EQ(Tollgate({"help", "nosuch"}).code, kBadUsage);
}

TEST(CommandLine, KnowsWhatPeopleTypeByHabit) {
  EXPECT_EQ(Tollgate({"token", "ls", "--help"}).code, kDone);
  EXPECT_THAT(Tollgate({"token", "show", "--help"}).out, HasSubstr("Usage: tollgate token get"));
  EXPECT_EQ(Tollgate({"validators", "ls", "--help"}).code, kDone);
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
}  // namespace tollgate::cli
