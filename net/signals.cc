#include "net/signals.h"

#include <string.h>  // NOLINT: sigabbrev_np

#include <utility>

#include "absl/strings/str_cat.h"

namespace tollgate::net {

sigset_t TakenSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGXCPU, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM,
                           SIGPROF, SIGIO, SIGPWR, SIGSTKFLT}) {
    sigaddset(&signals, signal);
  }
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) sigaddset(&signals, signal);
  struct sigaction hang_up = {};
  if (sigaction(SIGHUP, nullptr, &hang_up) != 0 || hang_up.sa_handler != SIG_IGN) {
    sigaddset(&signals, SIGHUP);
  }
  return signals;
}

std::string SignalName(int signal) {
  const char* const name = sigabbrev_np(signal);
  return name == nullptr ? absl::StrCat("signal ", signal) : absl::StrCat("SIG", name);
}

SignalJudge::Meaning SignalJudge::Judge(int signal, base::BootTime now) {
  switch (signal) {
    case SIGQUIT:
      return Meaning::kEndAtOnce;
    case SIGINT:
      if (first_interrupt_.has_value() && now - *first_interrupt_ >= kSecondThoughts) {
        return Meaning::kEndAtOnce;
      }
      if (!first_interrupt_.has_value()) first_interrupt_ = now;
      break;
    case SIGTERM:
    case SIGHUP:   // the terminal is gone
    case SIGXCPU:  // the limit on CPU time is near: the kernel kills at its hard one
      break;
    default:
      return Meaning::kNone;
  }
  return std::exchange(asked_, true) ? Meaning::kSameAgain : Meaning::kShutDown;
}

}  // namespace tollgate::net
