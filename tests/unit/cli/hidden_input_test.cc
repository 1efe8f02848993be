#include "cli/hidden_input.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>

namespace tollgate::cli {
namespace {

// A terminal of the test's own.
class PseudoTerminal {
 public:
  PseudoTerminal() {
    master_ = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    EXPECT_EQ(grantpt(master_), 0);
    EXPECT_EQ(unlockpt(master_), 0);
    slave_ = open(ptsname(master_), O_RDWR | O_NOCTTY | O_CLOEXEC);
    EXPECT_GE(slave_, 0);
  }
  ~PseudoTerminal() {
    close(slave_);
    close(master_);
  }
  int fd() const { return slave_; }
  bool echoes() const {
    termios now;
    return tcgetattr(slave_, &now) == 0 && (now.c_lflag & ECHO) != 0;
  }

 private:
  int master_ = -1;
  int slave_ = -1;
};

// A process that hides its input and waits for a signal.
class Asking {
 public:
  explicit Asking(const PseudoTerminal& terminal) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    pid_ = fork();
    if (pid_ == 0) {
      signal(SIGINT, SIG_DFL);
      HiddenInput hidden(terminal.fd());
      const char byte = 1;
      if (write(ready[1], &byte, 1) != 1) _exit(1);
      while (true) pause();
    }
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
  }
  ~Asking() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  // Sends it, and waits for what it does to the process.
  int Signal(int number) {
    kill(pid_, number);
    int status = 0;
    waitpid(pid_, &status, WUNTRACED | WCONTINUED);
    if (WIFSIGNALED(status)) pid_ = 0;
    return status;
  }

 private:
  pid_t pid_ = 0;
};

TEST(HiddenInput, HidesWhileItLives) {
  PseudoTerminal terminal;
  EXPECT_TRUE(terminal.echoes());
  {
    HiddenInput hidden(terminal.fd());
    EXPECT_TRUE(hidden.hides());
    EXPECT_FALSE(terminal.echoes());
  }
  EXPECT_TRUE(terminal.echoes());
}

TEST(HiddenInput, HidesNothingWhereThereIsNoTerminal) {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  EXPECT_FALSE(HiddenInput(null).hides());
  close(null);
}

TEST(HiddenInput, LeavesNoDeafTerminalWhenASignalEndsTheProcess) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    PseudoTerminal terminal;
    Asking asking(terminal);
    EXPECT_FALSE(terminal.echoes());
    const int status = asking.Signal(number);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), number) << "it ends as it would have";
    EXPECT_TRUE(terminal.echoes()) << number;
  }
}

TEST(HiddenInput, ShowsWhileStoppedAndHidesWhenContinued) {
  PseudoTerminal terminal;
  Asking asking(terminal);
  EXPECT_TRUE(WIFSTOPPED(asking.Signal(SIGTSTP)));
  EXPECT_TRUE(terminal.echoes());
  EXPECT_TRUE(WIFCONTINUED(asking.Signal(SIGCONT)));
  // It hides again as soon as it runs.
  const time_t deadline = time(nullptr) + 20;
  while (terminal.echoes() && time(nullptr) < deadline) sched_yield();
  EXPECT_FALSE(terminal.echoes());
}

}  // namespace
}  // namespace tollgate::cli
