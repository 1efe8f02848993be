#include "net/daemon_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/version.h"

namespace tollgate::net {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A daemon with a flag of each kind.
struct Kettle {
  std::string name = "k";
  bool loud = false;
  std::vector<std::string> spouts = {"left"};
  int cups = 4;
  int64_t leaves = 100;
  double heat = 0.5;
  absl::Duration steep = absl::Minutes(3);
  DaemonSettings daemon;

  absl::Status Parse(std::vector<const char*> args) {
    DaemonFlags flags({.program = "tea-kettle",
                       .usage = "--name NAME [flags]",
                       .about = "Boils water.",
                       .footer = "Exit codes: 0 it boils.",
                       .unknown = "no such flag. "},
                      &daemon);
    flags.Text("Water", "name", "NAME", "Whose it is", &name);
    flags.Flag("Water", "loud", "Whistle", &loud);
    flags.List("Water", "spout", "WHERE", "A spout; repeatable", &spouts);
    flags.Number("Tea", "cups", "N", "How many", &cups);
    flags.Number("Tea", "leaves", "N", "In each", &leaves);
    flags.Number("Tea", "heat", "REAL", "A fraction", &heat);
    flags.Time("Tea", "steep-time", "How long", &steep);
    flags.Value("Tea", "a-flag-with-a-long-name", "MODE", "Of the lid", "lid",
                [](const auto& text) {
                  return text == "lid" ? absl::OkStatus()
                                       : absl::InvalidArgumentError("there is only a lid");
                });
    flags.AddProgram("Written once it boils", "How long it cools");
    args.insert(args.begin(), "tea-kettle");
    return flags.Parse(static_cast<int>(args.size()), args.data());
  }
};

// Sets a variable while it lives.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name_); }

 private:
  const char* const name_;
};

std::string Config(const std::string& text) {
  const std::string path =
      absl::StrCat(testing::TempDir(), "/daemon_flags_test.", getpid(), ".toml");
  std::ofstream(path) << text;
  return path;
}

TEST(DaemonFlags, LeavesTheDefaults) {
  Kettle kettle;
  ASSERT_TRUE(kettle.Parse({}).ok());
  EXPECT_EQ(kettle.name, "k");
  EXPECT_THAT(kettle.spouts, ElementsAre("left"));
  EXPECT_EQ(kettle.steep, absl::Minutes(3));
  EXPECT_EQ(kettle.daemon.drain_timeout, absl::Seconds(10));
  EXPECT_EQ(kettle.daemon.log_level, base::LogLevel::kInfo);
  EXPECT_FALSE(kettle.daemon.print.has_value());
}

TEST(DaemonFlags, ReadsEveryKind) {
  Kettle kettle;
  const absl::Status parsed =
      kettle.Parse({"--name", "n", "--loud", "--spout=a", "--spout", "b", "--cups=2",
                    "--leaves=5000000000", "--heat=0.75", "--steep-time=1d12h", "--log-level",
                    "debug", "--ready-file=/r", "--drain-pause", "500ms", "--drain-timeout", "0"});
  ASSERT_TRUE(parsed.ok()) << parsed;
  EXPECT_EQ(kettle.name, "n");
  EXPECT_TRUE(kettle.loud);
  EXPECT_THAT(kettle.spouts, ElementsAre("a", "b"));
  EXPECT_EQ(kettle.cups, 2);
  EXPECT_EQ(kettle.leaves, 5'000'000'000);
  EXPECT_EQ(kettle.heat, 0.75);
  EXPECT_EQ(kettle.steep, absl::Hours(36));
  EXPECT_EQ(kettle.daemon.log_level, base::LogLevel::kDebug);
  EXPECT_EQ(kettle.daemon.ready_file, "/r");
  EXPECT_EQ(kettle.daemon.drain_pause, absl::Milliseconds(500));
  EXPECT_EQ(kettle.daemon.drain_timeout, absl::ZeroDuration());
}

TEST(DaemonFlags, AFlagWinsOverTheEnvironmentWhichWinsOverTheFile) {
  const std::string config =
      Config("name = \"file\"\ncups = 1\nsteep-time = \"1s\"\nspout = [\"f\"]\n");
  const Environment name("TEA_KETTLE_NAME", "environment");
  const Environment cups("TEA_KETTLE_CUPS", "2");
  const Environment file("TEA_KETTLE_CONFIG", config.c_str());
  const Environment others("TEAPOT_NAME", "another program's");
  Kettle kettle;
  ASSERT_TRUE(kettle.Parse({"--name", "flag"}).ok());
  EXPECT_EQ(kettle.name, "flag");
  EXPECT_EQ(kettle.cups, 2);
  EXPECT_EQ(kettle.steep, absl::Seconds(1));
  EXPECT_THAT(kettle.spouts, ElementsAre("f"));
}

TEST(DaemonFlags, AListInTheEnvironmentHasCommas) {
  for (const char* text : {"a,b", "a,b,"}) {
    const Environment spouts("TEA_KETTLE_SPOUT", text);
    const Environment name("TEA_KETTLE_NAME", "one,text");
    const Environment loud("TEA_KETTLE_LOUD", "true");
    Kettle kettle;
    ASSERT_TRUE(kettle.Parse({}).ok());
    EXPECT_THAT(kettle.spouts, ElementsAre("a", "b"));
    EXPECT_EQ(kettle.name, "one,text") << "only lists are split";
    EXPECT_TRUE(kettle.loud);
  }
}

TEST(DaemonFlags, HelpHasOneLineAFlagInTheOrderOfTheDeclarations) {
  Kettle kettle;
  ASSERT_TRUE(kettle.Parse({"--help"}).ok());
  EXPECT_EQ(kettle.daemon.print.value_or(""), R"(Boils water.
Usage: tea-kettle --name NAME [flags]

Program:
  --help                      Print this
  --version                   Print the version
  --config FILE               A file with flags, one a line: name = "value"
  --log-level LEVEL           debug, info, warning or error [info]
  --ready-file PATH           Written once it boils
  --drain-pause DURATION      After SIGTERM: say NOT_SERVING so long before anything ends [0s]
  --drain-timeout DURATION    How long it cools [10s]


Water:
  --name NAME                 Whose it is [k]
  --loud                      Whistle
  --spout WHERE               A spout; repeatable [left]


Tea:
  --cups N                    How many [4]
  --leaves N                  In each [100]
  --heat REAL                 A fraction [0.5]
  --steep-time DURATION       How long [3m]
  --a-flag-with-a-long-name MODE
                              Of the lid [lid]

Exit codes: 0 it boils.
)");
}

TEST(DaemonFlags, VersionNeedsNothingElse) {
  Kettle kettle;
  ASSERT_TRUE(kettle.Parse({"--version"}).ok());
  EXPECT_EQ(kettle.daemon.print, absl::StrCat("tea-kettle ", base::kVersion, "\n"));
}

TEST(DaemonFlags, BadOnesAreRefusedByName) {
  const std::string unknown_key = Config("colour = \"red\"\n");
  const std::string config = absl::StrCat("--config=", unknown_key);
  const std::vector<std::pair<const char*, const char*>> table = {
      {"--colour=red", "no such flag. The following argument was not expected: --colour=red"},
      {"--steep-time=5", "--steep-time: '5' is no duration: write 500ms, 30s, 5m, 24h or 90d"},
      {"--steep-time=-5s", "--steep-time: '-5s' is no duration"},
      {"--cups=many", "--cups"},
      {"--name", "--name"},
      {"--a-flag-with-a-long-name=x", "--a-flag-with-a-long-name: there is only a lid"},
      {"--log-level=loud", "--log-level: 'loud' is none of debug, info, warning, error"},
      {config.c_str(), "colour"},
      {"--config=/does/not/exist", "/does/not/exist"},
  };
  for (const auto& [arg, says] : table) {
    const absl::Status refused = Kettle().Parse({arg});
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << arg;
    EXPECT_EQ(base::ReasonOf(refused), "BAD_FLAG") << arg;
    EXPECT_THAT(std::string(refused.message()), HasSubstr(says));
  }
}

TEST(WithHelpHint, KeepsTheErrorAndSaysWhereToRead) {
  const absl::Status hinted = WithHelpHint("tea-kettle", RefuseFlag("--cups: too many"));
  EXPECT_EQ(hinted.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(base::ReasonOf(hinted), "BAD_FLAG");
  EXPECT_EQ(hinted.message(), "--cups: too many\n  All flags: tea-kettle --help");
}

TEST(DaemonFlags, AnEmptyVariableCountsAsNotSet) {
  const Environment name("TEA_KETTLE_NAME", "");
  const Environment loud("TEA_KETTLE_LOUD", "");
  const Environment spout("TEA_KETTLE_SPOUT", "");
  const Environment cups("TEA_KETTLE_CUPS", "7");
  Kettle kettle;
  ASSERT_TRUE(kettle.Parse({}).ok());
  EXPECT_EQ(kettle.name, "k");
  EXPECT_FALSE(kettle.loud);
  EXPECT_THAT(kettle.spouts, ElementsAre("left"));
  EXPECT_EQ(kettle.cups, 7);
}

TEST(DaemonFlags, AnEmptyValueIsAValueAndTakesNothingElse) {
  Kettle kettle;
  ASSERT_TRUE(kettle.Parse({"--name=", "--cups=5"}).ok());
  EXPECT_EQ(kettle.name, "");
  EXPECT_EQ(kettle.cups, 5);
  EXPECT_EQ(base::ReasonOf(kettle.Parse({"--loud=", "--cups=5"})), "BAD_FLAG");
}

TEST(DaemonFlags, MetricsThatOthersCouldReadAreAskedForByName) {
  const auto parse = [](std::vector<const char*> args) {
    args.insert(args.begin(), "tea-kettle");
    DaemonSettings settings;
    settings.metrics_listen = "127.0.0.1:9";
    DaemonFlags flags({.program = "tea-kettle"}, &settings);
    flags.AddMetrics("Listening");
    return flags.Parse(static_cast<int>(args.size()), args.data());
  };
  EXPECT_TRUE(parse({}).ok());
  EXPECT_TRUE(parse({"--metrics-listen="}).ok());
  const absl::Status refused = parse({"--metrics-listen", "0.0.0.0:7412"});
  EXPECT_EQ(base::ReasonOf(refused), "PLAINTEXT_REFUSED");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--allow-plaintext-metrics"));
  EXPECT_TRUE(parse({"--metrics-listen", "0.0.0.0:7412", "--allow-plaintext-metrics"}).ok());
  EXPECT_EQ(base::ReasonOf(parse({"--metrics-listen", "nowhere"})), "ADDRESS_INVALID");
  // With a certificate nothing is in plaintext there.
  EXPECT_TRUE(parse({"--metrics-listen", "0.0.0.0:7412", "--metrics-tls-cert", "a.pem",
                     "--metrics-tls-key", "a.pem"})
                  .ok());
  for (const char* const alone : {"--metrics-tls-key", "--metrics-client-ca"}) {
    const absl::Status half = parse({alone, "a.pem"});
    EXPECT_EQ(base::ReasonOf(half), "BAD_FLAG");
    EXPECT_THAT(std::string(half.message()),
                testing::AllOf(HasSubstr(alone), HasSubstr("--metrics-tls-cert FILE")));
  }
}

}  // namespace
}  // namespace tollgate::net
