#include "cli/hidden_input.h"

#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <iterator>

namespace tollgate::cli {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP};

// The state that a signal's handler can reach. Set before the handlers are installed, and unchanged
// while they are.
struct {
  int fd;
  termios before;
  termios quiet;
  struct sigaction actions[std::size(kSignals)];
} hidden;

// Calls only functions that POSIX allows in a handler.
void Restore(int signal) {
  const int error = errno;
  tcsetattr(hidden.fd, TCSANOW, &hidden.before);
  if (signal == SIGTSTP) {
    raise(SIGSTOP);  // stopped here, until continued
    tcsetattr(hidden.fd, TCSANOW, &hidden.quiet);
    errno = error;
    return;
  }
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    if (kSignals[i] == signal) sigaction(signal, &hidden.actions[i], nullptr);
  }
  raise(signal);  // is held until this returns, and then does what it did before
  errno = error;
}

}  // namespace

HiddenInput::HiddenInput(int fd) {
  if (tcgetattr(fd, &hidden.before) != 0) return;
  hidden.fd = fd;
  hidden.quiet = hidden.before;
  hidden.quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  struct sigaction action{};
  action.sa_handler = &Restore;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    sigaction(kSignals[i], nullptr, &hidden.actions[i]);
    // An ignored signal (nohup) stays ignored.
    if (hidden.actions[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
  tcsetattr(fd, TCSANOW, &hidden.quiet);
  hides_ = true;
}

HiddenInput::~HiddenInput() {
  if (!hides_) return;
  tcsetattr(hidden.fd, TCSANOW, &hidden.before);
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    sigaction(kSignals[i], &hidden.actions[i], nullptr);
  }
}

}  // namespace tollgate::cli
