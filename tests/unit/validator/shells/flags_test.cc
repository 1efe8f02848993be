#include "validator/flags.h"

#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::validator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<ValidatorFlags> Parse(std::vector<const char*> args) {
  args.insert(args.begin(), "tollgate-validator");
  return ParseValidatorFlags(static_cast<int>(args.size()), args.data());
}

TEST(ValidatorFlags, DefaultsAreSafe) {
  const auto flags = Parse({});
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->server.stale_policy, tollgate::v1::STALE_POLICY_FAIL_CLOSED);
  EXPECT_FALSE(flags->server.allow_plaintext);
  EXPECT_FALSE(flags->server.id.empty()) << "the host's name";
  EXPECT_FALSE(flags->daemon.print.has_value());
  EXPECT_EQ(flags->daemon.metrics_listen, "localhost:7414");
  EXPECT_EQ(flags->daemon.drain_timeout, absl::Seconds(5));
}

TEST(ValidatorFlags, TakesWhatIsGiven) {
  const auto flags =
      Parse({"--service", "unix:/run/s.sock", "--id=payments/edge-3", "--listen",
             "unix:/run/a.sock", "--listen", "127.0.0.1:0", "--stale-policy", "fail-open",
             "--fail-open-for", "1d12h", "--cache-entries", "1000", "--socket-mode", "0600"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->server.service, "unix:/run/s.sock");
  EXPECT_EQ(flags->server.id, "payments/edge-3");
  EXPECT_THAT(flags->server.listen, ElementsAre("unix:/run/a.sock", "127.0.0.1:0"));
  EXPECT_EQ(flags->server.stale_policy, tollgate::v1::STALE_POLICY_FAIL_OPEN);
  EXPECT_EQ(flags->server.fail_open_for, absl::Hours(36));
  EXPECT_EQ(flags->server.cache_entries, 1000);
  EXPECT_EQ(flags->server.socket_mode, 0600u);
}

TEST(ValidatorFlags, AFlagWinsOverTheEnvironmentWhichWinsOverTheFile) {
  const std::string file =
      absl::StrCat(::testing::TempDir(), "/validator_flags_test.", getpid(), ".toml");
  std::ofstream(file) << "id = \"file\"\nservice = \"127.0.0.1:1\"\nbrand = \"file\"\n";
  setenv("TOLLGATE_VALIDATOR_ID", "environment", 1);
  setenv("TOLLGATE_VALIDATOR_SERVICE", "127.0.0.1:2", 1);
  const auto flags = Parse({"--config", file.c_str(), "--id", "flag"});
  unsetenv("TOLLGATE_VALIDATOR_ID");
  unsetenv("TOLLGATE_VALIDATOR_SERVICE");
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->server.id, "flag");
  EXPECT_EQ(flags->server.service, "127.0.0.1:2");
  EXPECT_EQ(flags->server.brand, "file");
}

TEST(ValidatorFlags, HelpAndVersionArePrinted) {
  const auto help = Parse({"--help"});
  ASSERT_TRUE(help.ok());
  EXPECT_THAT(*help->daemon.print, HasSubstr("Exit codes: 0 ended as asked; 2 bad usage"));
  EXPECT_THAT(*help->daemon.print, HasSubstr("[fail-closed]"));
  const auto version = Parse({"--version"});
  ASSERT_TRUE(version.ok());
  EXPECT_THAT(*version->daemon.print, HasSubstr("tollgate-validator "));
}

TEST(ValidatorFlags, BadOnesAreRefusedByName) {
  const std::vector<std::pair<std::vector<const char*>, const char*>> table = {
      {{"--stale-policy", "fail-sometimes"}, "--stale-policy"},
      {{"--fail-open-for", "5"}, "--fail-open-for"},
      {{"--fail-open-for", "-5s"}, "--fail-open-for"},
      {{"--log-level", "loud"}, "--log-level"},
      {{"--socket-mode", "99"}, "--socket-mode"},
      {{"--no-such-flag"}, "--no-such-flag"},
  };
  for (const auto& [args, named] : table) {
    const auto flags = Parse(args);
    ASSERT_FALSE(flags.ok()) << named;
    EXPECT_EQ(base::ReasonOf(flags.status()), "BAD_FLAG");
    EXPECT_THAT(std::string(flags.status().message()), HasSubstr(named));
    EXPECT_EQ(ValidatorExitCodeFor(flags.status()), kValidatorExitUsage);
  }
}

}  // namespace
}  // namespace tollgate::validator
