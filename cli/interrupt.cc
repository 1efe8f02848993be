#include "cli/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace tollgate::cli {

Interrupt::Interrupt() {
  sigset_t ours;
  sigemptyset(&ours);
  sigaddset(&ours, SIGINT);
  sigaddset(&ours, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ours, &before_);
  signals_ = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
  notified_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

Interrupt::~Interrupt() {
  // What has come and was not read must not end the process once it can again.
  Wait(absl::ZeroDuration());
  if (signals_ >= 0) close(signals_);
  if (notified_ >= 0) close(notified_);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

Interrupt::Woken Interrupt::Wait(absl::Duration at_most) {
  if (interrupted_) return Woken::kInterrupted;
  pollfd fds[2] = {{signals_, POLLIN, 0}, {notified_, POLLIN, 0}};
  int ms = -1;
  if (at_most < absl::Hours(24)) {
    ms = static_cast<int>(absl::ToInt64Milliseconds(std::max(at_most, absl::ZeroDuration()) +
                                                    absl::Microseconds(999)));
  }
  int ready = 0;
  do {  // a signal of another kind, as a stop and its continuation, begins the time anew
    ready = poll(fds, 2, ms);
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) return Woken::kTime;
  signalfd_siginfo info;
  while (read(signals_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    interrupted_ = true;
  }
  if (interrupted_) return Woken::kInterrupted;
  uint64_t count = 0;
  return read(notified_, &count, sizeof(count)) > 0 ? Woken::kNotified : Woken::kTime;
}

void Interrupt::WaitNotified() {
  pollfd fd = {notified_, POLLIN, 0};
  while (poll(&fd, 1, -1) <= 0) {
  }
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t taken = read(notified_, &count, sizeof(count));
}

void Interrupt::Notify() {
  const uint64_t one = 1;
  // It fails only where 2^64 - 1 notifications wait already.
  [[maybe_unused]] const ssize_t written = write(notified_, &one, sizeof(one));
}

}  // namespace tollgate::cli
