// The file of settings: which one is read, and what is said of one that is wrong.
#include "cli/settings_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tests/unit/cli/outcome.h"

namespace tollgate::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

class SettingsFileTest : public testing::Test {
 protected:
  void TearDown() override {
    unsetenv("TOLLGATE_CONFIG");
    unsetenv("XDG_CONFIG_HOME");
  }
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = absl::StrCat(testing::TempDir(), "/tollgate-", getpid(), name);
    std::ofstream(path) << text;
    return path;
  }
};

TEST_F(SettingsFileTest, TheEnvironmentNamesIt) {
  const std::string home = absl::StrCat(testing::TempDir(), "/tollgate-home.", getpid());
  ASSERT_EQ(std::system(("mkdir -p " + home + "/tollgate").c_str()), 0);
  std::ofstream(home + "/tollgate/config.toml")
      << "service = \"unix:/nonexistent/of-home.sock\"\ntimeout = \"2s\"\n";
  setenv("XDG_CONFIG_HOME", home.c_str(), 1);
  const std::vector<std::string> list = {"--timeout", "2s", "workspace", "list"};
  EXPECT_THAT(Tollgate(list).err, HasSubstr("of-home.sock"));
  const std::string named =
      Write("named.toml", "service = \"unix:/nonexistent/of-environment.sock\"\n");
  setenv("TOLLGATE_CONFIG", named.c_str(), 1);
  EXPECT_THAT(Tollgate(list).err, HasSubstr("of-environment.sock"));
  const std::string flag = Write("flag.toml", "service = \"unix:/nonexistent/of-flag.sock\"\n");
  std::vector<std::string> with_flag = list;
  with_flag.insert(with_flag.begin(), {"--config", flag});
  EXPECT_THAT(Tollgate(with_flag).err, HasSubstr("of-flag.sock"));
  // Neither an empty file nor an empty name lets that of the home in.
  for (const std::string& none : {std::string(), Write("empty.toml", "")}) {
    setenv("TOLLGATE_CONFIG", none.c_str(), 1);
    const Outcome outcome = Tollgate(
        {"--service", "unix:/nonexistent/none.sock", "--timeout", "2s", "workspace", "list"});
    EXPECT_THAT(outcome.err, HasSubstr("none.sock"));
    EXPECT_THAT(Tollgate({"--service", "nowhere", "--timeout", "2s", "workspace", "list"}).err,
                Not(HasSubstr("of-home")));
    EXPECT_EQ(Tollgate({"version"}).code, kDone);
  }
  // Wrong settings show that nothing of it is read.
  std::ofstream(home + "/tollgate/config.toml") << "bogus = 1\n";
  setenv("TOLLGATE_CONFIG", "", 1);
  EXPECT_EQ(Tollgate({"version"}).code, kDone);
  unsetenv("TOLLGATE_CONFIG");
  EXPECT_EQ(Tollgate({"version"}).code, kBadUsage);
}

TEST_F(SettingsFileTest, OneThatWasAskedForMustBeThere) {
  setenv("TOLLGATE_CONFIG", "/nonexistent/settings.toml", 1);
  const Outcome outcome = Tollgate({"version"});
  EXPECT_EQ(outcome.code, kBadUsage);
  EXPECT_THAT(outcome.err, HasSubstr("/nonexistent/settings.toml"));
  unsetenv("TOLLGATE_CONFIG");
  setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
  EXPECT_EQ(Tollgate({"version"}).code, kDone);
}

TEST_F(SettingsFileTest, AnErrorNamesFileLineAndWhatThereIs) {
  struct Case {
    const char* text;
    const char* place;
    const char* word;
  };
  for (const Case& wrong : {
           Case{"# mine\nservice = \"127.0.0.1:1\"\nbogus = 1\n", ":3: ", "'bogus'"},
           Case{"\n[token.list]\nbogus = 1\n", ":3: ", "'token.list.bogus'"},
           Case{"\n[nosuch]\nlimit = 1\n", ":2: ", "[nosuch]"},
           Case{"hello\n", ":1: ", "'hello'"},
       }) {
    const std::string path = Write("wrong.toml", wrong.text);
    const Outcome outcome = Tollgate({"--config", path, "version"});
    EXPECT_EQ(outcome.code, kBadUsage);
    EXPECT_THAT(outcome.err, HasSubstr(path + wrong.place));
    EXPECT_THAT(outcome.err, HasSubstr(wrong.word));
    EXPECT_THAT(outcome.err, HasSubstr("There are service, edge,"));
    EXPECT_THAT(outcome.err, HasSubstr("workspace"));
    // The same for programs.
    const Outcome json = Tollgate({"--config", path, "-o", "json", "version"});
    EXPECT_THAT(std::string(nlohmann::json::parse(json.err)["error"]["message"]),
                HasSubstr(path + wrong.place));
  }
}

TEST_F(SettingsFileTest, AValueThatIsWrongIsPlacedToo) {
  const std::string path = Write("value.toml", "timeout = \"2s\"\noutput = \"yaml\"\n");
  EXPECT_THAT(Tollgate({"--config", path, "version"}).err, HasSubstr(path + ":2: --output"));
  // Not where the command line is what is wrong.
  const Outcome flag = Tollgate({"--config", path, "-o", "xml", "version"});
  EXPECT_EQ(flag.code, kBadUsage);
  EXPECT_THAT(flag.err, Not(HasSubstr(path)));
}

}  // namespace
}  // namespace tollgate::cli
