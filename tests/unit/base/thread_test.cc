#include "base/thread.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include "absl/strings/match.h"
#include "base/status.h"

namespace tollgate::base {
namespace {

TEST(StartThread, Runs) {
  std::atomic<bool> ran{false};
  auto thread = StartThread([&ran] { ran = true; });
  ASSERT_TRUE(thread.ok()) << thread.status();
  thread->join();
  EXPECT_TRUE(ran);
}

TEST(StartThread, SaysWhichLimitIsTooLow) {
  const pid_t child = fork();
  if (child == 0) {
    // The limit is no root's.
    if (geteuid() == 0 && setuid(64998) != 0) _exit(1);
    const rlimit none = {0, 0};
    if (setrlimit(RLIMIT_NPROC, &none) != 0) _exit(2);
    const auto thread = StartThread([] {});
    if (ReasonOf(thread.status()) != "TOO_FEW_THREADS") _exit(3);
    _exit(absl::StrContains(thread.status().message(), "ulimit -u") ? 0 : 4);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace tollgate::base
