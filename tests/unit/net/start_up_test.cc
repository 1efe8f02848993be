#include "net/start_up.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "tests/unit/net/edge_server.h"

namespace tollgate::net {

std::atomic<bool> disk_hangs{false};

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

TEST(PrepareProcess, ADeadlockThatDoesNotHappenEndsNoProcess) {
  const pid_t child = fork();
  if (child == 0) {
    PrepareProcess("test");
    absl::Mutex one;
    absl::Mutex other;
    for (const auto& [outer, inner] : {std::pair(&one, &other), std::pair(&other, &one)}) {
      absl::MutexLock first(outer);
      absl::MutexLock second(inner);
    }
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));  // else it was aborted
}

// What CheckProcess says in a child under a limit.
std::string CheckedUnder(int resource, rlim_t limit, const ProcessNeeds& needs) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    const rlimit to = {limit, limit};
    // Limits on processes are no root's, and are of all of a user's: somebody with no other.
    if (geteuid() == 0 && setuid(64999) != 0) _exit(1);
    if (setrlimit(static_cast<__rlimit_resource>(resource), &to) != 0) _exit(2);
    const absl::Status status = CheckProcess(needs);
    const std::string text = absl::StrCat(base::ReasonOf(status), ": ", status.message());
    _exit(write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 3);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof(buffer))) > 0;) text.append(buffer, n);
  close(ends[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  return text;
}

TEST(CheckProcess, SaysWhichLimitIsTooLow) {
  EXPECT_TRUE(CheckProcess({.threads = 20, .open_files = 20}).ok());
  EXPECT_THAT(CheckedUnder(RLIMIT_NOFILE, 32, {.threads = 1, .open_files = 64}),
              testing::AllOf(testing::HasSubstr("TOO_FEW_FILES"), testing::HasSubstr("32 files"),
                             testing::HasSubstr("ulimit -n")));
  EXPECT_THAT(
      CheckedUnder(RLIMIT_NPROC, 10, {.threads = 40, .open_files = 1}),
      testing::AllOf(
          testing::HasSubstr("TOO_FEW_THREADS"),
          testing::HasSubstr(absl::StrCat(
              "it needs ", 40 + MoreThreadsOn(static_cast<int>(sysconf(_SC_NPROCESSORS_CONF))))),
          testing::HasSubstr("TasksMax")));
}

TEST(CheckProcess, ReckonsWithTheProcessors) {
  const std::pair<int, int> as_counted[] = {{1, 0},   {2, 0},   {4, 2},   {8, 8},
                                            {16, 20}, {32, 44}, {64, 44}, {256, 44}};
  for (const auto& [processors, more] : as_counted) {
    EXPECT_EQ(MoreThreadsOn(processors), more) << processors;
  }
}

class ReadinessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    BlockShutdownSignals();
    settings_.ready_file = folder_ / "ready.json";
  }
  bool IsThere() const { return access(settings_.ready_file.c_str(), F_OK) == 0; }

  TempFolder folder_;
  DaemonSettings settings_;
};

TEST_F(ReadinessTest, TellsAddressesProcessAndMore) {
  settings_.metrics_listen = "localhost:0";
  auto daemon = Daemon::Start({"test", settings_.metrics_listen, nullptr});
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  Readiness readiness(settings_);
  ASSERT_TRUE(readiness.Write(**daemon, {"127.0.0.1:1", "unix:/s"}, {{"id", "e\"1"}}).ok());
  EXPECT_EQ(Read(settings_.ready_file),
            absl::StrCat(R"({"id":"e\"1","listen":["127.0.0.1:1","unix:/s"],"metrics":"localhost:)",
                         (*daemon)->metrics_port(), R"(","pid":)", getpid(), "}\n"));
}

TEST_F(ReadinessTest, IsSilentAboutMetricsThatAreNotServed) {
  auto daemon = Daemon::Start({"test", "", nullptr});
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  Readiness readiness(settings_);
  ASSERT_TRUE(readiness.Write(**daemon, {"unix:/s"}, {}).ok());
  EXPECT_EQ(Read(settings_.ready_file),
            absl::StrCat(R"({"listen":["unix:/s"],"pid":)", getpid(), "}\n"));
}

TEST_F(ReadinessTest, WritesOnlyWhereItIsAskedTo) {
  auto daemon = Daemon::Start({"test", "", nullptr});
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  EXPECT_TRUE(Readiness(DaemonSettings()).Write(**daemon, {}, {}).ok());
  settings_.ready_file = "/does/not/exist/ready.json";
  EXPECT_FALSE(Readiness(settings_).Write(**daemon, {}, {}).ok());
}

TEST_F(ReadinessTest, RemovesWhatIsStaleAndItsOwn) {
  auto daemon = Daemon::Start({"test", "", nullptr});
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  std::ofstream(settings_.ready_file) << "of a process that is dead";
  Readiness readiness(settings_);
  EXPECT_FALSE(IsThere());
  readiness.Remove();  // nothing to do
  ASSERT_TRUE(readiness.Write(**daemon, {}, {}).ok());
  {
    const Readiness another(settings_);
  }
  EXPECT_TRUE(IsThere()) << "a second start leaves it alone";
  readiness.Remove();
  EXPECT_FALSE(IsThere());
}

TEST_F(ReadinessTest, AFileSystemThatHangsIsNotWaitedFor) {
  auto daemon = Daemon::Start({"test", "", nullptr});
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  Readiness readiness(settings_, absl::Milliseconds(50));
  disk_hangs = true;
  const absl::Status slow = readiness.Write(**daemon, {}, {});
  EXPECT_EQ(base::ReasonOf(slow), "READY_FILE_SLOW") << slow;
  // What comes of it later removes itself.
  disk_hangs = false;
  while (!std::filesystem::is_empty(std::filesystem::path(settings_.ready_file).parent_path())) {
    std::this_thread::yield();
  }
}

}  // namespace
}  // namespace tollgate::net

// In place of the C library's: a file system that hangs.
extern "C" int rename(const char* from, const char* to) noexcept {
  while (tollgate::net::disk_hangs) usleep(1000);
  return renameat(AT_FDCWD, from, AT_FDCWD, to);
}
