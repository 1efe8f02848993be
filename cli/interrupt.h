// Ctrl-C as something to wait for, so that what watches can end as if asked to.
#ifndef TOLLGATE_CLI_INTERRUPT_H_
#define TOLLGATE_CLI_INTERRUPT_H_

#include <csignal>

#include "absl/time/time.h"

namespace tollgate::cli {

// While it lives SIGINT and SIGTERM do not end the process: they are waited for here. Make it
// before any thread is started (before the first channel): threads that are there already would
// still take the signal and end the process. One at a time; not thread-safe, but for Notify.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  enum class Woken { kTime, kNotified, kInterrupted };
  // Until a signal comes, Notify is called, or the time (which may be infinite) has passed. A
  // signal that has come once is told by every later call too.
  Woken Wait(absl::Duration at_most);
  // Until Notify is called, whatever signal comes.
  void WaitNotified();
  // Ends one Wait, this one or the next. On any thread.
  void Notify();

 private:
  int signals_ = -1;
  int notified_ = -1;
  bool interrupted_ = false;
  sigset_t before_;
};

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_INTERRUPT_H_
