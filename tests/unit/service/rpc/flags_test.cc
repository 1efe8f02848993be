#include "service/flags.h"

#include <stdlib.h>

#include <fstream>

#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/service/rpc/service_fixture.h"

namespace tollgate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

absl::StatusOr<ServerFlags> Parse(std::vector<const char*> args) {
  args.insert(args.begin(), "tollgated");
  return ParseServerFlags(static_cast<int>(args.size()), args.data());
}

TEST(FlagsTest, DefaultsAreTheDocumentedOnes) {
  absl::StatusOr<ServerFlags> flags = Parse({"--store", "/tmp/x/"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->server.keyring, "/tmp/x.keyring");
  EXPECT_THAT(flags->server.listen, ElementsAre("127.0.0.1:7411"));
  EXPECT_EQ(flags->metrics_listen, "127.0.0.1:7412");
  EXPECT_EQ(flags->server.lease, absl::Seconds(30));
  EXPECT_EQ(flags->server.ping_interval, absl::Seconds(5));
  EXPECT_EQ(flags->server.event_retention, absl::Hours(24));
  EXPECT_EQ(flags->server.brand, "tg");
  EXPECT_FALSE(flags->server.allow_plaintext);
}

TEST(FlagsTest, ListenRepeats) {
  absl::StatusOr<ServerFlags> flags =
      Parse({"--store=/tmp/x", "--listen", "127.0.0.1:1", "--listen=unix:/tmp/s"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_THAT(flags->server.listen, ElementsAre("127.0.0.1:1", "unix:/tmp/s"));
}

TEST(FlagsTest, AFlagWinsOverTheEnvironmentWhichWinsOverTheFile) {
  TempDir dir;
  std::ofstream(dir / "tollgated.toml") << "store = \"/from/file\"\n"
                                           "lease = \"20s\"\nping-interval = \"3s\"\n"
                                           "ack-limit = \"7s\"\n";
  const std::string config = "--config=" + (dir / "tollgated.toml");
  setenv("TOLLGATED_LEASE", "40s", 1);
  setenv("TOLLGATED_PING_INTERVAL", "4s", 1);
  setenv("TOLLGATED_LISTEN", "127.0.0.1:1,unix:/tmp/s", 1);
  absl::StatusOr<ServerFlags> flags = Parse({config.c_str(), "--lease", "50s"});
  unsetenv("TOLLGATED_LEASE");
  unsetenv("TOLLGATED_PING_INTERVAL");
  unsetenv("TOLLGATED_LISTEN");
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->server.store, "/from/file");
  EXPECT_EQ(flags->server.lease, absl::Seconds(50));
  EXPECT_EQ(flags->server.ping_interval, absl::Seconds(4));
  EXPECT_EQ(flags->server.ack_limit, absl::Seconds(7));
  EXPECT_THAT(flags->server.listen, ElementsAre("127.0.0.1:1", "unix:/tmp/s"));
}

TEST(FlagsTest, HelpNamesEveryFlagAndItsDefault) {
  absl::StatusOr<ServerFlags> flags = Parse({"--help"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  ASSERT_TRUE(flags->print.has_value());
  for (const char* part : {"--store DIR", "--listen ADDR", "[127.0.0.1:7411]", "--lease DURATION",
                           "[30s]", "--event-retention DURATION", "[24h]", "--client-ca FILE",
                           "--allow-plaintext", "Exit codes"}) {
    EXPECT_THAT(*flags->print, HasSubstr(part));
  }
}

TEST(FlagsTest, VersionNeedsNothingElse) {
  absl::StatusOr<ServerFlags> flags = Parse({"--version"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->print.value_or(""), ServerVersion() + "\n");
}

struct BadFlags {
  std::vector<const char*> args;
  const char* says;
};

class BadFlagsTest : public testing::TestWithParam<BadFlags> {};

TEST_P(BadFlagsTest, IsRefusedWithTheFlagsName) {
  absl::StatusOr<ServerFlags> flags = Parse(GetParam().args);
  ASSERT_FALSE(flags.ok());
  EXPECT_EQ(ReasonOf(flags.status()), "BAD_FLAG");
  EXPECT_EQ(ExitCodeFor(flags.status()), kExitUsage);
  EXPECT_THAT(std::string(flags.status().message()), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadFlagsTest,
    testing::Values(BadFlags{{}, "--store"}, BadFlags{{"--store=x", "--colour=red"}, "--colour"},
                    BadFlags{{"--store=x", "--lease=30"}, "--lease"},
                    BadFlags{{"--store=x", "--lease=-5s"}, "--lease"},
                    BadFlags{{"--store=x", "--lease=11m"}, "--lease"},
                    BadFlags{{"--store=x", "--lease=0s"}, "--lease"},
                    BadFlags{{"--store=x", "--lease=4s"}, "--ping-interval"},
                    BadFlags{{"--store=x", "--drift-bound=2"}, "--drift-bound"},
                    BadFlags{{"--store=x", "--drift-bound=much"}, "--drift-bound"},
                    BadFlags{{"--store=x", "--brand=T"}, "--brand"},
                    BadFlags{{"--store=x", "--listen=nowhere"}, "--listen"},
                    BadFlags{{"--store=x", "--tls-cert=c"}, "--tls-key"},
                    BadFlags{{"--store=x", "--log-level=loud"}, "--log-level"},
                    BadFlags{{"--store=x", "--event-retention-count=0"}, "--event-retention-count"},
                    BadFlags{{"--store=x", "--config=/does/not/exist"}, "/does/not/exist"}));

TEST(FlagDurationTest, ReadsWhatPeopleWrite) {
  EXPECT_EQ(*ParseFlagDuration("30s"), absl::Seconds(30));
  EXPECT_EQ(*ParseFlagDuration("5m"), absl::Minutes(5));
  EXPECT_EQ(*ParseFlagDuration("24h"), absl::Hours(24));
  EXPECT_EQ(*ParseFlagDuration("90d"), absl::Hours(24 * 90));
  EXPECT_EQ(*ParseFlagDuration("1d12h"), absl::Hours(36));
  EXPECT_EQ(*ParseFlagDuration("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseFlagDuration("500ms"), absl::Milliseconds(500));
  for (const char* bad : {"", "30", "s", "-1s", "inf", "5 parsecs", "dd", "-1d", "1d1"}) {
    EXPECT_FALSE(ParseFlagDuration(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace tollgate
