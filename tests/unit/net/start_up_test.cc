#include "net/start_up.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "tests/unit/net/edge_server.h"

namespace tollgate::net {
namespace {

std::string Read(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(PrepareProcess, LeavesNoCoreAndBlocksTheSignals) {
  // A child: a limit that was lowered cannot be raised again.
  const pid_t child = fork();
  if (child == 0) {
    PrepareProcess("test");
    rlimit core{1, 1};
    sigset_t blocked;
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0) _exit(1);
    if (prctl(PR_GET_DUMPABLE) != 0) _exit(4);
    if (pthread_sigmask(SIG_BLOCK, nullptr, &blocked) != 0) _exit(2);
    _exit(sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGINT) == 1 ? 0 : 3);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(WriteReadiness, TellsAddressesProcessAndMore) {
  BlockShutdownSignals();
  TempFolder folder;
  DaemonSettings settings;
  settings.ready_file = folder / "ready.json";
  settings.metrics_listen = "localhost:0";
  auto daemon = Daemon::Start({"test", settings.metrics_listen, nullptr});
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  ASSERT_TRUE(
      WriteReadiness(settings, **daemon, {"127.0.0.1:1", "unix:/s"}, {{"id", "e\"1"}}).ok());
  EXPECT_EQ(Read(settings.ready_file),
            absl::StrCat(R"({"id":"e\"1","listen":["127.0.0.1:1","unix:/s"],"metrics":"localhost:)",
                         (*daemon)->metrics_port(), R"(","pid":)", getpid(), "}\n"));
}

TEST(WriteReadiness, IsSilentAboutMetricsThatAreNotServed) {
  BlockShutdownSignals();
  TempFolder folder;
  DaemonSettings settings;
  settings.ready_file = folder / "ready.json";
  auto daemon = Daemon::Start({"test", "", nullptr});
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  ASSERT_TRUE(WriteReadiness(settings, **daemon, {"unix:/s"}, {}).ok());
  EXPECT_EQ(Read(settings.ready_file),
            absl::StrCat(R"({"listen":["unix:/s"],"pid":)", getpid(), "}\n"));
}

TEST(WriteReadiness, WritesOnlyWhereItIsAskedTo) {
  BlockShutdownSignals();
  DaemonSettings settings;
  auto daemon = Daemon::Start({"test", "", nullptr});
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  EXPECT_TRUE(WriteReadiness(settings, **daemon, {}, {}).ok());
  settings.ready_file = "/does/not/exist/ready.json";
  EXPECT_FALSE(WriteReadiness(settings, **daemon, {}, {}).ok());
}

TEST(WriteReadiness, IsGoneAfterRemove) {
  BlockShutdownSignals();
  TempFolder folder;
  DaemonSettings settings;
  RemoveReadiness(settings);  // nothing to do
  settings.ready_file = folder / "ready.json";
  RemoveReadiness(settings);
  auto daemon = Daemon::Start({"test", "", nullptr});
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  ASSERT_TRUE(WriteReadiness(settings, **daemon, {}, {}).ok());
  ASSERT_EQ(access(settings.ready_file.c_str(), F_OK), 0);
  RemoveReadiness(settings);
  EXPECT_NE(access(settings.ready_file.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace tollgate::net
