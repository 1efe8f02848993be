#include "cli/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>

namespace tollgate::cli {

namespace {

// Where the handler writes to.
std::atomic<int> g_signals{-1};

void OnSignal(int) {
  const int saved = errno;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(g_signals.load(), &one, sizeof(one));
  errno = saved;
}

void Take(int signal, struct sigaction* before) {
  struct sigaction ours = {};
  ours.sa_handler = OnSignal;
  ours.sa_flags = SA_RESTART;
  sigemptyset(&ours.sa_mask);
  sigaction(signal, nullptr, before);
  if (before->sa_handler != SIG_IGN) sigaction(signal, &ours, nullptr);
}

}  // namespace

Interrupt::Interrupt() {
  signals_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  notified_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  g_signals = signals_;
  Take(SIGINT, &before_int_);
  Take(SIGTERM, &before_term_);
}

Interrupt::~Interrupt() {
  sigaction(SIGINT, &before_int_, nullptr);
  sigaction(SIGTERM, &before_term_, nullptr);
  g_signals = -1;
  if (signals_ >= 0) close(signals_);
  if (notified_ >= 0) close(notified_);
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
  uint64_t count = 0;
  interrupted_ = read(signals_, &count, sizeof(count)) > 0;
  if (interrupted_) return Woken::kInterrupted;
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
