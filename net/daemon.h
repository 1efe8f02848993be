// A program's life: signals, metrics and probes.
//
//   int main(...) {
//     BlockShutdownSignals();                        // before any thread
//     ... auto daemon = Daemon::Start({...});
//     ... a server on its GrpcHost (net/grpc_host.h)
//     … the ready file (net/start_up.h)
//     daemon->WaitForShutdownSignal();
//     ... the server drains
//   }
#ifndef TOLLGATE_NET_DAEMON_H_
#define TOLLGATE_NET_DAEMON_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "net/tls_files.h"

namespace prometheus {
class Registry;
}  // namespace prometheus

namespace tollgate::net {

class MetricsPort;

// Blocks what a Daemon waits for (net/signals.h) in this thread and all it will start, and ignores
// SIGPIPE and SIGXFSZ: a peer that is gone and a file at its limit are failed writes. main's first
// act: a thread started before would be killed by the signal instead of the drain being begun.
void BlockShutdownSignals();

// For servers built afterwards: turns reflection on, and turns gRPC's own health service off,
// because Health replaces it. Not thread-safe; idempotent.
void EnableReflection();

// The exit code of a process whose end took longer than Daemon::BoundStopping allows.
inline constexpr int kExitStopOverdue = 71;

// Waits for shutdown signals, and serves metrics.
class Daemon {
 public:
  struct Options {
    std::string program;
    // The address on which metrics and probes are served (net/metrics_port.h); empty: they are not.
    // Port 0 is the kernel's choice.
    std::string metrics_address;
    // The registry to serve; null: ServeMetrics gives it later.
    std::shared_ptr<prometheus::Registry> registry;
    TlsFiles metrics_tls;  // empty: plaintext
  };

  // FAILED_PRECONDITION, SIGNALS_NOT_BLOCKED, when BlockShutdownSignals was not called; the errors
  // of MetricsPort::Start; RESOURCE_EXHAUSTED, TOO_FEW_THREADS.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(Options options);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Gives the registry to serve, where Options had none. Call once. The port is taken before there
  // is anything to measure, so that a program that cannot have it has written nothing.
  void ServeMetrics(std::shared_ptr<prometheus::Registry> registry);
  // Gives what says whether a health name is SERVING; until then the program is alive, and not
  // ready. Called on the port's thread, and must not block.
  void ServeHealth(std::function<bool(const std::string& name)> is_serving);

  // Returns after the first SIGTERM, SIGINT or SIGHUP (but see OnHangUp), or RequestShutdown.
  // However many of them come, they are one request; SIGQUIT, or a second SIGINT a second or more
  // after the first, ends the process at once, with exit code 128 + signal: a drain that hangs can
  // be ended. Signals of no meaning are told of in the log, once each. Thread-safe.
  void WaitForShutdownSignal();
  // The same, for at most `timeout`. True: shutdown was requested.
  bool WaitForShutdownSignal(absl::Duration timeout);
  // From here on a SIGHUP that a process sent calls this, and asks for no shutdown; the kernel's,
  // for a terminal that is gone, still does. Called on the daemon's thread; must neither block nor
  // call back. nullptr: a SIGHUP is a shutdown signal again, and no call is under way any more.
  // Thread-safe.
  void OnHangUp(std::function<void()> call) ABSL_LOCKS_EXCLUDED(mu_);
  // Acts as a first signal: for a fatal condition after which the program ends in order.
  // Thread-safe.
  void RequestShutdown();
  bool shutdown_requested() const;

  // Where metrics are served, with the real port in place of port 0; empty where they are not.
  std::string metrics_address() const;
  // 0 where they are not, and on a Unix socket.
  int metrics_port() const;

  // Once shutdown is requested (or if it was), the process has `limit` from then on to end in
  // order. After that it ends at once, with last words and kExitStopOverdue, whatever its threads
  // wait for: a disk that hangs holds up no stop. What was acknowledged is safe, as after a kill
  // -9. `waits_for` says what is waited for; it may be empty, is called on the daemon's thread, and
  // must not block. The last call counts. Thread-safe.
  void BoundStopping(absl::Duration limit, std::function<std::string()> waits_for = nullptr)
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  Daemon();
  void SignalLoop();
  // Milliseconds until the stop is overdue, for poll; -1: it is not bounded, or not asked for.
  int UntilOverdue() const ABSL_LOCKS_EXCLUDED(mu_);
  [[noreturn]] void EndOverdue() ABSL_LOCKS_EXCLUDED(mu_);
  void WakeSignalLoop();
  // Whether somebody wants to hear of a hang-up, and has.
  bool TellHangUp() ABSL_LOCKS_EXCLUDED(mu_);

  int signal_fd_ = -1;
  int wake_fd_ = -1;
  std::unique_ptr<MetricsPort> metrics_;  // null where they are not served
  mutable absl::Mutex mu_;
  bool requested_ ABSL_GUARDED_BY(mu_) = false;
  base::BootTime requested_at_ ABSL_GUARDED_BY(mu_);
  bool ending_ ABSL_GUARDED_BY(mu_) = false;  // the signal thread is to end
  absl::Duration stop_limit_ ABSL_GUARDED_BY(mu_) = absl::InfiniteDuration();
  std::function<std::string()> waits_for_ ABSL_GUARDED_BY(mu_);
  std::function<void()> on_hang_up_ ABSL_GUARDED_BY(mu_);
  std::thread signal_thread_;
};

// Prints "program: message" to stderr, for start-up errors, and returns the exit code of the error.
int ReportRefusal(absl::string_view program, const absl::Status& status);
// The exit code of an error. Stable: OK 0; INVALID_ARGUMENT 64 (usage); UNAVAILABLE 69; INTERNAL
// and DATA_LOSS 70; ALREADY_EXISTS 73; PERMISSION_DENIED and UNAUTHENTICATED 77;
// FAILED_PRECONDITION 78 (configuration); others 1.
int ExitCodeOf(const absl::Status& status);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_DAEMON_H_
