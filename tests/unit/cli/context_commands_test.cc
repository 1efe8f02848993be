// tollgate context: settings by name.
#include "cli/commands/context_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tests/unit/cli/outcome.h"

namespace tollgate::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class ContextCommands : public testing::Test {
 protected:
  void SetUp() override {
    home_ = absl::StrCat(testing::TempDir(), "/tollgate-contexts.", getpid());
    std::filesystem::create_directories(home_ + "/tollgate");
    setenv("XDG_CONFIG_HOME", home_.c_str(), 1);
    std::ofstream(home_ + "/tollgate/config.toml")
        << "service = \"unix:/nonexistent/plain.sock\"\n";
  }
  void TearDown() override {
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("TOLLGATE_CONTEXT");
    unsetenv("TOLLGATE_CONFIG");
    unsetenv("TOLLGATE_SERVICE");
    std::filesystem::remove_all(home_);
  }
  Outcome Create(const std::string& name) {
    return Tollgate({"context", "create", name, "--service",
                     absl::StrCat("unix:/nonexistent/", name, ".sock"), "-w", "acme"});
  }
  // Which service a command asks now.
  std::string Asked(std::vector<std::string> before = {}) {
    before.insert(before.end(), {"--timeout", "2s", "token", "list"});
    const Outcome outcome = Tollgate(before);
    const size_t at = outcome.err.find("nonexistent/");
    if (at == std::string::npos) return outcome.err;
    return outcome.err.substr(at + 12, outcome.err.find(".sock") - at - 12);
  }

  std::string home_;
};

TEST_F(ContextCommands, TheOneInUseSaysWhatIsAsked) {
  ASSERT_EQ(Create("prod").code, kDone);
  ASSERT_EQ(Create("staging").code, kDone);
  EXPECT_THAT(Asked(), HasSubstr("workspace")) << "config.toml names none";
  EXPECT_EQ(Tollgate({"context", "use", "prod"}).out,
            "in use       prod   unix:/nonexistent/prod.sock\n");
  EXPECT_EQ(Asked(), "prod");
  EXPECT_EQ(Asked({"--context", "staging"}), "staging");
  EXPECT_EQ(Asked({"--context=staging"}), "staging");
  setenv("TOLLGATE_CONTEXT", "staging", 1);
  EXPECT_EQ(Asked(), "staging");
  EXPECT_EQ(Asked({"--context", "prod"}), "prod") << "a flag wins over the environment";
  unsetenv("TOLLGATE_CONTEXT");
  EXPECT_EQ(Asked({"--service", "unix:/nonexistent/flag.sock"}), "flag");
  EXPECT_EQ(Tollgate({"context", "use", "--none"}).code, kDone);
  EXPECT_THAT(Asked(), HasSubstr("workspace"));
}

// What the words name wins over what the environment says, which is nobody's intention now.
TEST_F(ContextCommands, OneThatIsTypedWinsOverTheEnvironment) {
  ASSERT_EQ(Create("prod").code, kDone);
  ASSERT_EQ(Create("staging").code, kDone);
  const std::string other = home_ + "/other.toml";
  std::ofstream(other) << "service = \"unix:/nonexistent/other.sock\"\nworkspace = \"acme\"\n";
  setenv("TOLLGATE_CONFIG", other.c_str(), 1);
  EXPECT_EQ(Asked(), "other");
  EXPECT_EQ(Asked({"--context", "staging"}), "staging");
  setenv("TOLLGATE_SERVICE", "unix:/nonexistent/environment.sock", 1);
  EXPECT_EQ(Asked(), "environment");
  EXPECT_EQ(Asked({"--context", "staging"}), "staging");
  unsetenv("TOLLGATE_SERVICE");
  EXPECT_THAT(Asked({"--context", "staging", "--config", other}), HasSubstr("give one of the two"));
  setenv("TOLLGATE_CONTEXT", "staging", 1);
  EXPECT_EQ(Asked({"--config", other}), "other") << "only a usual one";
}

TEST_F(ContextCommands, AreListedWithTheOneInUse) {
  EXPECT_THAT(Tollgate({"context", "list"}).err, HasSubstr("tollgate context create prod"));
  Create("prod");
  Create("a");
  Tollgate({"context", "use", "prod"});
  const Outcome table = Tollgate({"context", "ls"});
  EXPECT_THAT(table.out, HasSubstr("CONTEXT"));
  EXPECT_THAT(table.out, HasSubstr("*  prod     unix:/nonexistent/prod.sock  acme"));
  EXPECT_LT(table.out.find("a  "), table.out.find("prod"));
  const auto json = nlohmann::json::parse(Tollgate({"-o", "json", "context", "list"}).out);
  ASSERT_EQ(json["contexts"].size(), 2u);
  EXPECT_EQ(json["contexts"][1]["name"], "prod");
  EXPECT_EQ(json["contexts"][1]["in_use"], true);
  EXPECT_EQ(json["contexts"][1]["workspace"], "acme");
  EXPECT_THAT(Tollgate({"context", "show"}).out,
              AllOf(HasSubstr("context      prod\n"), HasSubstr("workspace = \"acme\"")));
  EXPECT_EQ(Tollgate({"context", "show", "-q"}).out, "prod\n");
}

TEST_F(ContextCommands, OneThatIsGoneOrWrongIsToldAndCanBeLeft) {
  Create("prod");
  Create("staging");
  Tollgate({"context", "use", "prod"});
  std::filesystem::remove(home_ + "/tollgate/contexts/prod.toml");
  const Outcome gone = Tollgate({"token", "list"});
  EXPECT_EQ(gone.code, kBadUsage);
  EXPECT_THAT(gone.err, AllOf(HasSubstr("there is no context 'prod'; there are staging"),
                              Not(HasSubstr("Usage"))));
  EXPECT_EQ(Tollgate({"context", "use", "staging"}).code, kDone);
  EXPECT_EQ(Asked(), "staging");
  std::ofstream(home_ + "/tollgate/contexts/staging.toml") << "servce = \"x\"\n";
  EXPECT_THAT(Tollgate({"token", "list"}).err, HasSubstr("staging.toml:1: 'servce' is no setting"));
  EXPECT_EQ(Tollgate({"context", "delete", "staging"}).code, kDone);
  EXPECT_EQ(Tollgate({"context", "show", "-q"}).out, "");
  EXPECT_THAT(Asked(), HasSubstr("workspace"));
}

TEST_F(ContextCommands, RefusesWhatItCannotKeep) {
  EXPECT_EQ(Tollgate({"context", "create", "prod"}).code, kBadUsage);
  for (const char* name : {"../x", "Prod", ".x", "a/b"}) {
    EXPECT_EQ(Create(name).code, kBadUsage) << name;
  }
  EXPECT_EQ(Create("prod").code, kDone);
  const Outcome twice = Create("prod");
  EXPECT_THAT(twice.err, HasSubstr("--replace"));
  EXPECT_NE(twice.code, kDone);
  EXPECT_EQ(Tollgate({"context", "create", "prod", "--service", "a:1", "--replace"}).code, kDone);
  EXPECT_EQ(Tollgate({"context", "use", "nosuch"}).code, kNotFound);
  EXPECT_EQ(Tollgate({"context", "use"}).code, kBadUsage);
  EXPECT_EQ(Tollgate({"context", "delete", "nosuch"}).code, kNotFound);
  // What would be read back as something else is not written.
  for (const char* odd : {"a\"b:1", "a\\b:1", "/etc/#1/key", "a\tb"}) {
    EXPECT_EQ(Tollgate({"context", "create", "odd", "--tls-key", odd}).code, kBadUsage) << odd;
  }
  EXPECT_EQ(Tollgate({"--context", "odd", "token", "list"}).code, kBadUsage);
  // A file of settings names no context.
  std::ofstream(home_ + "/tollgate/config.toml") << "context = \"prod\"\n";
  EXPECT_THAT(Tollgate({"version"}).err, HasSubstr("'context' is no setting"));
}

}  // namespace
}  // namespace tollgate::cli
