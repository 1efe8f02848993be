// Makes Ctrl-C an event to wait for, so that a watching command can end in order.
#ifndef TOLLGATE_CLI_INTERRUPT_H_
#define TOLLGATE_CLI_INTERRUPT_H_

#include <csignal>

#include "absl/time/time.h"

namespace tollgate::cli {

// While this object lives, SIGINT and SIGTERM do not end the process; the object waits for them,
// whichever thread takes them. A signal that was ignored stays ignored. One object at a time; not
// thread-safe, except Notify.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  enum class Woken { kTime, kNotified, kInterrupted };
  // Waits until a signal comes, Notify is called, or the time (which may be infinite) has passed.
  // Once a signal has come, every later call reports it too.
  Woken Wait(absl::Duration at_most);
  // Waits until Notify is called; signals do not end the wait.
  void WaitNotified();
  // Ends one Wait, the present or the next one. On any thread.
  void Notify();

 private:
  int signals_ = -1;
  int notified_ = -1;
  bool interrupted_ = false;
  struct sigaction before_int_ = {};
  struct sigaction before_term_ = {};
};

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_INTERRUPT_H_
