#include "net/daemon.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <poll.h>
#include <prometheus/registry.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "base/thread.h"
#include "net/metrics_port.h"
#include "net/signals.h"

namespace tollgate::net {
namespace {

absl::Status SystemError(absl::string_view what) {
  return base::Refuse(absl::StatusCode::kUnavailable, "SYSTEM_ERROR",
                      absl::StrCat(what, ": ", std::strerror(errno)));
}

void TellSignal(SignalJudge::Meaning meaning, int number) {
  const std::string name = SignalName(number);
  switch (meaning) {
    case SignalJudge::Meaning::kShutDown:
      base::Log(base::LogLevel::kInfo,
                "shutting down; SIGQUIT, or SIGINT twice with a second between, ends at once",
                {{"signal", name}});
      break;
    case SignalJudge::Meaning::kSameAgain:
      base::Log(base::LogLevel::kInfo, "shutting down already", {{"signal", name}});
      break;
    case SignalJudge::Meaning::kNone:
      base::Log(base::LogLevel::kWarning, "a signal without a meaning here is ignored",
                {{"signal", name}});
      break;
    case SignalJudge::Meaning::kEndAtOnce:
      break;
  }
}

}  // namespace

void BlockShutdownSignals() {
  const sigset_t signals = TakenSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

void EnableReflection() {
  grpc::EnableDefaultHealthCheckService(false);
  static const bool once = [] {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  (void)once;
}

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(Options options) {
  sigset_t blocked;
  sigemptyset(&blocked);
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  if (sigismember(&blocked, SIGTERM) != 1 || sigismember(&blocked, SIGINT) != 1) {
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "SIGNALS_NOT_BLOCKED",
                        "BlockShutdownSignals must be the first act of main, before any thread");
  }
  std::unique_ptr<Daemon> daemon(new Daemon);
  if (!options.metrics_address.empty()) {
    ASSIGN_OR_RETURN(daemon->metrics_,
                     MetricsPort::Start(options.metrics_address, options.metrics_tls));
    if (options.registry != nullptr) daemon->ServeMetrics(options.registry);
  }
  const sigset_t signals = TakenSignals();
  daemon->signal_fd_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  daemon->wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (daemon->signal_fd_ < 0 || daemon->wake_fd_ < 0) return SystemError("cannot wait for signals");
  ASSIGN_OR_RETURN(daemon->signal_thread_,
                   base::StartThread([d = daemon.get()] { d->SignalLoop(); }));
  return daemon;
}

void Daemon::ServeMetrics(std::shared_ptr<prometheus::Registry> registry) {
  if (metrics_ != nullptr) metrics_->ServeMetrics(std::move(registry));
}

void Daemon::ServeHealth(std::function<bool(const std::string& name)> is_serving) {
  if (metrics_ != nullptr) metrics_->ServeHealth(std::move(is_serving));
}

int Daemon::metrics_port() const { return metrics_ == nullptr ? 0 : metrics_->address().port; }

std::string Daemon::metrics_address() const {
  return metrics_ == nullptr ? std::string() : metrics_->address().ToString();
}

Daemon::Daemon() = default;

Daemon::~Daemon() {
  metrics_.reset();
  if (signal_thread_.joinable()) {
    {
      absl::MutexLock lock(&mu_);
      ending_ = true;
    }
    WakeSignalLoop();
    signal_thread_.join();
  }
  if (signal_fd_ >= 0) close(signal_fd_);
  if (wake_fd_ >= 0) close(wake_fd_);
}

void Daemon::SignalLoop() {
  SignalJudge judge;
  std::set<int> told;
  while (true) {
    pollfd fds[2] = {{wake_fd_, POLLIN, 0}, {signal_fd_, POLLIN, 0}};
    if (poll(fds, 2, UntilOverdue()) < 0 && errno != EINTR) return;
    {
      absl::MutexLock lock(&mu_);
      if (ending_) return;
    }
    if (UntilOverdue() == 0) EndOverdue();
    uint64_t woken = 0;
    (void)!read(wake_fd_, &woken, sizeof(woken));
    signalfd_siginfo info{};
    if (read(signal_fd_, &info, sizeof(info)) != sizeof(info)) continue;
    const int number = static_cast<int>(info.ssi_signo);
    if (number == SIGHUP && info.ssi_code != SI_KERNEL && TellHangUp()) continue;
    const SignalJudge::Meaning meaning = judge.Judge(number, base::SystemClock().Now());
    if (meaning == SignalJudge::Meaning::kEndAtOnce) {
      base::LogLastWords("ending at once", {{"signal", SignalName(number)}});
      _exit(128 + number);
    }
    if (meaning == SignalJudge::Meaning::kShutDown) RequestShutdown();
    // Once each, so that whoever sends many floods nothing.
    if (told.insert(number).second) TellSignal(meaning, number);
  }
}

void Daemon::WaitForShutdownSignal() { WaitForShutdownSignal(absl::InfiniteDuration()); }

bool Daemon::WaitForShutdownSignal(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(&requested_), timeout);
}

void Daemon::OnHangUp(std::function<void()> call) {
  absl::MutexLock lock(&mu_);
  on_hang_up_ = std::move(call);
}

bool Daemon::TellHangUp() {
  absl::MutexLock lock(&mu_);
  if (!on_hang_up_) return false;
  on_hang_up_();
  return true;
}

void Daemon::RequestShutdown() {
  {
    absl::MutexLock lock(&mu_);
    if (!requested_) requested_at_ = base::SystemClock().Now();
    requested_ = true;
  }
  WakeSignalLoop();
}

void Daemon::BoundStopping(absl::Duration limit, std::function<std::string()> waits_for) {
  {
    absl::MutexLock lock(&mu_);
    stop_limit_ = limit;
    waits_for_ = std::move(waits_for);
  }
  WakeSignalLoop();
}

void Daemon::WakeSignalLoop() {
  const uint64_t one = 1;
  (void)!write(wake_fd_, &one, sizeof(one));
}

int Daemon::UntilOverdue() const {
  absl::MutexLock lock(&mu_);
  if (!requested_ || stop_limit_ == absl::InfiniteDuration()) return -1;
  const absl::Duration left = requested_at_ + stop_limit_ - base::SystemClock().Now();
  // Rounded up, so that 0 is never a moment too early; and at most an hour, which fits.
  return static_cast<int>(absl::ToInt64Milliseconds(
      std::clamp(absl::Ceil(left, absl::Milliseconds(1)), absl::ZeroDuration(), absl::Hours(1))));
}

void Daemon::EndOverdue() {
  std::string waits_for;
  {
    absl::MutexLock lock(&mu_);
    if (waits_for_) waits_for = waits_for_();
  }
  base::LogLastWords(
      "stopping takes too long: the process ends at once. What was acknowledged is safe; what was "
      "not may be there or not",
      {{"waits_for", waits_for.empty() ? "not known" : waits_for}});
  _exit(kExitStopOverdue);
}

bool Daemon::shutdown_requested() const {
  absl::MutexLock lock(&mu_);
  return requested_;
}

int ReportRefusal(absl::string_view program, const absl::Status& status) {
  std::string text(status.message());
  if (!absl::StartsWith(text, absl::StrCat(program, ": ")))
    text = absl::StrCat(program, ": ", text);
  base::WriteToStderr(text + "\n");
  return ExitCodeOf(status);
}

int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 0;
    case absl::StatusCode::kInvalidArgument:
      return 64;
    case absl::StatusCode::kUnavailable:
      return 69;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
      return 70;
    case absl::StatusCode::kAlreadyExists:
      return 73;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return 77;
    case absl::StatusCode::kFailedPrecondition:
      return 78;
    default:
      return 1;
  }
}

}  // namespace tollgate::net
