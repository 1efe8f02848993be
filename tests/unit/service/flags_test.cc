#include "service/flags.h"

#include <stdlib.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/version.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/option_parts.h"
#include "tests/unit/service/service_fixture.h"

namespace tollgate::service {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

absl::StatusOr<ServerFlags> Parse(std::vector<const char*> args) {
  args.insert(args.begin(), "tollgated");
  return ParseServerFlags(static_cast<int>(args.size()), args.data());
}

// Why a start with these flags is refused, by what reads them or by what checks their bounds.
absl::Status RefusalOf(std::vector<const char*> args) {
  const absl::StatusOr<ServerFlags> flags = Parse(std::move(args));
  return flags.ok() ? PartsOf(flags->server).status() : flags.status();
}

TEST(FlagsTest, DefaultsAreTheDocumentedOnes) {
  absl::StatusOr<ServerFlags> flags = Parse({"--store", "/tmp/x/"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  const absl::StatusOr<OptionParts> parts = PartsOf(flags->server);
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_EQ(parts->home.folder(), "/tmp/x");
  EXPECT_EQ(parts->home.keyring(), "/tmp/x.keyring");
  EXPECT_EQ(parts->home.journal(), "/tmp/x.journal");
  EXPECT_THAT(flags->server.listen, ElementsAre("localhost:7411"));
  EXPECT_EQ(flags->daemon.metrics_listen, "localhost:7412");
  EXPECT_EQ(flags->server.lease, absl::Seconds(30));
  EXPECT_EQ(flags->server.ping_interval, absl::Seconds(5));
  EXPECT_EQ(flags->server.event_retention, absl::Hours(24));
  EXPECT_EQ(flags->server.brand, "tg");
  EXPECT_EQ(flags->daemon.drain_pause, absl::ZeroDuration());
  EXPECT_EQ(flags->daemon.drain_timeout, absl::Seconds(15));
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

// Every limit is a flag, and a value that makes no sense is refused by its name.
TEST(FlagsTest, EveryLimitHasAFlag) {
  const absl::StatusOr<ServerFlags> usual = Parse({"--store=/tmp/x"});
  ASSERT_TRUE(usual.ok()) << usual.status();
  EXPECT_EQ(usual->server.max_connections, 0) << "as open files allow: not below the fleet";
  const absl::StatusOr<ServerFlags> flags =
      Parse({"--store=/tmp/x", "--max-message-bytes=100000", "--max-connections=2",
             "--max-followers=3", "--read-threads=4", "--max-queued-reads=5", "--scan-threads=6",
             "--max-queued-scans=7", "--max-watchers=8", "--max-queued-watch=9",
             "--write-stall-limit=10s", "--no-progress-limit=11s", "--max-stream-age=12m",
             "--ring-revisions=13", "--ring-bytes=2000000", "--use-retention=14d"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  const ServerOptions& o = flags->server;
  EXPECT_TRUE(PartsOf(o).ok()) << PartsOf(o).status();
  EXPECT_THAT(
      (std::vector<int64_t>{o.max_message_bytes, o.max_connections, o.max_followers, o.read_threads,
                            o.max_queued_reads, o.scan_threads, o.max_queued_scans, o.max_watchers,
                            o.max_queued_watch, o.ring_revisions, o.ring_bytes}),
      ElementsAre(100000, 2, 3, 4, 5, 6, 7, 8, 9, 13, 2000000));
  EXPECT_EQ(o.write_stall_limit, absl::Seconds(10));
  EXPECT_EQ(o.no_progress_limit, absl::Seconds(11));
  EXPECT_EQ(o.max_stream_age, absl::Minutes(12));
  EXPECT_EQ(o.use_retention, absl::Hours(24 * 14));
  for (const std::string flag :
       {"max-message-bytes=1", "max-connections=-1", "max-followers=0", "read-threads=0",
        "max-queued-reads=-1", "scan-threads=0", "max-queued-scans=-1", "max-watchers=-1",
        "max-queued-watch=0", "ring-revisions=0", "ring-bytes=1", "write-stall-limit=1ms",
        "no-progress-limit=0s", "max-stream-age=1ms", "use-retention=1h"}) {
    const absl::Status refused = RefusalOf({"--store=/tmp/x", ("--" + flag).c_str()});
    EXPECT_EQ(base::ReasonOf(refused), "BAD_FLAG") << flag;
    EXPECT_THAT(std::string(refused.message()), HasSubstr(flag.substr(0, flag.find('=')))) << flag;
  }
}

TEST(FlagsTest, HelpNamesEveryFlagAndItsDefault) {
  absl::StatusOr<ServerFlags> flags = Parse({"--help"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  ASSERT_TRUE(flags->daemon.print.has_value());
  for (const char* part : {"--store DIR", "--listen ADDR", "[localhost:7411]", "--lease DURATION",
                           "[30s]", "--event-retention DURATION", "[24h]", "--client-ca FILE",
                           "--allow-plaintext", "Exit codes"}) {
    EXPECT_THAT(*flags->daemon.print, HasSubstr(part));
  }
}

TEST(FlagsTest, VersionNeedsNothingElse) {
  absl::StatusOr<ServerFlags> flags = Parse({"--version"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->daemon.print.value_or(""), absl::StrCat("tollgated ", base::kVersion, "\n"));
}

struct BadFlags {
  std::vector<const char*> args;
  const char* says;
};

class BadFlagsTest : public testing::TestWithParam<BadFlags> {};

TEST_P(BadFlagsTest, IsRefusedWithTheFlagsName) {
  const absl::Status refused = RefusalOf(GetParam().args);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(base::ReasonOf(refused), "BAD_FLAG");
  EXPECT_EQ(ExitCodeFor(refused), kExitUsage);
  EXPECT_THAT(std::string(refused.message()), HasSubstr(GetParam().says));
}

// The bounds that the feed states are refused by the flag's name too.
TEST(FlagsTest, ABoundOfTheFeedBearsTheFlagsNameAsItsField) {
  const absl::Status refused = RefusalOf({"--store=x", "--ping-interval=11s"});
  const base::ErrorDetails details = base::DetailsOf(refused);
  EXPECT_EQ(details.reason, "BAD_FLAG");
  ASSERT_EQ(details.fields.size(), 1u);
  EXPECT_EQ(details.fields[0].field, "ping-interval");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--ping-interval: must be above 0"));
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadFlagsTest,
    testing::Values(BadFlags{{}, "--store"}, BadFlags{{"--store=x", "--colour=red"}, "--colour"},
                    BadFlags{{"--store=/"}, "--store"}, BadFlags{{"--store=etcd:x"}, "rocksdb"},
                    BadFlags{{"--store=rocksdb:"}, "--store"},
                    BadFlags{{"--store=x", "--max-followers=-1"}, "--max-followers"},
                    BadFlags{{"--store=x", "--max-pings-per-second=0"}, "--max-pings-per-second"},
                    BadFlags{{"--store=x", "--usage-interval=0s"}, "--usage-interval"},
                    BadFlags{{"--store=x", "--ack-limit=0s"}, "--ack-limit"},
                    BadFlags{{"--store=x", "--sweep-interval=0s"}, "--sweep-interval"},
                    BadFlags{{"--store=x", "--event-retention=0s"}, "--event-retention"},
                    BadFlags{{"--store=x", "--no-journal", "--journal=y"}, "--no-journal"},
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

}  // namespace
}  // namespace tollgate::service
