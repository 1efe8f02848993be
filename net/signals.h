// What a signal means to a daemon.
#ifndef TOLLGATE_NET_SIGNALS_H_
#define TOLLGATE_NET_SIGNALS_H_

#include <signal.h>

#include <string>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"

namespace tollgate::net {

// Every signal that would end the process and tells of no fault in it: SIGTERM, SIGINT, SIGHUP,
// SIGQUIT, SIGUSR1, SIGALRM, the real-time ones and so on. Without SIGHUP where it is ignored
// already: nohup has asked for that.
sigset_t TakenSignals();

// "SIGTERM"; of one without a name, "signal 40".
std::string SignalName(int signal);

// Judges the signals of a process in the order in which they come. Not thread-safe.
class SignalJudge {
 public:
  enum class Meaning {
    kShutDown,   // begin to end, in order
    kSameAgain,  // the process was asked to end already
    kEndAtOnce,  // somebody will not wait for the order
    kNone,       // of none to a daemon
  };
  // A second SIGINT that comes sooner than this after the first is the same request: supervisors
  // and shells pass one on beside their own.
  static constexpr absl::Duration kSecondThoughts = absl::Seconds(1);

  Meaning Judge(int signal, base::BootTime now);

 private:
  bool asked_ = false;
  absl::optional<base::BootTime> first_interrupt_;
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_SIGNALS_H_
