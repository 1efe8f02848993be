#include "net/daemon.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/registry.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "net/metric_page.h"
#include "net/signals.h"

namespace tollgate::net {
namespace {

absl::Status SystemError(absl::string_view what) {
  return base::Refuse(absl::StatusCode::kUnavailable, "SYSTEM_ERROR",
                      absl::StrCat(what, ": ", std::strerror(errno)));
}

// Connects to a listener of this process and closes at once. A failure does not matter.
void Knock(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;  // the library takes no names either
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return;
  const int fd =
      socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, found->ai_protocol);
  if (fd >= 0) {
    (void)connect(fd, found->ai_addr, found->ai_addrlen);
    close(fd);
  }
  freeaddrinfo(found);
}

bool HasIpv4Loopback() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno != EAFNOSUPPORT;
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool has = bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0 ||
                   errno != EADDRNOTAVAIL;
  close(fd);
  return has;
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

// What the process counts, whatever it serves.
class ProcessMetrics final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families;
    MetricPage(&families).Counter(
        "tollgate_log_lines_dropped_total",
        "Log lines that were not written, since stderr was not read or refused them",
        base::DroppedLogLines());
    return families;
  }
};

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
  Address address;
  if (!options.metrics_address.empty()) {
    ASSIGN_OR_RETURN(address, ParseAddress(options.metrics_address));
    if (address.is_unix()) {
      return base::Refuse(absl::StatusCode::kInvalidArgument, "ADDRESS_INVALID",
                          "metrics are served on HOST:PORT only");
    }
    if (absl::EqualsIgnoreCase(address.host, "localhost")) {
      address.host = "127.0.0.1";
      if (!HasIpv4Loopback()) {
        // Debian's civetweb is built without IPv6. The default must not keep a program from
        // starting.
        base::Log(base::LogLevel::kWarning,
                  "metrics are not served: this host has no 127.0.0.1, and they know no IPv6");
        options.metrics_address.clear();
      }
    }
  }
  if (!options.metrics_address.empty()) {
    try {
      daemon->exposer_ = std::make_unique<prometheus::Exposer>(std::vector<std::string>{
          "listening_ports", address.ToString(),
          // Each connection holds a thread until its request has come. With fewer threads and a
          // longer timeout, some idle connections would keep the metrics from everybody.
          "num_threads", "16", "request_timeout_ms", "1000"});
    } catch (const std::exception&) {  // the library's only way to say no; it does not say why
      return base::Refuse(
          absl::StatusCode::kAlreadyExists, "ADDRESS_IN_USE",
          absl::StrCat("cannot serve metrics on ", address.ToString(),
                       ": another process listens there, or it is no address of this "
                       "host.\n  Stop that one, or choose another:  --metrics-listen ADDR"));
    }
    if (options.registry != nullptr) daemon->ServeMetrics(options.registry);
    const std::vector<int> ports = daemon->exposer_->GetListeningPorts();
    if (!ports.empty()) daemon->metrics_port_ = ports[0];
    daemon->metrics_address_ = std::move(address);
  }
  const sigset_t signals = TakenSignals();
  daemon->signal_fd_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  daemon->wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (daemon->signal_fd_ < 0 || daemon->wake_fd_ < 0) return SystemError("cannot wait for signals");
  daemon->signal_thread_ = std::thread([d = daemon.get()] { d->SignalLoop(); });
  return daemon;
}

void Daemon::ServeMetrics(std::shared_ptr<prometheus::Registry> registry) {
  if (exposer_ == nullptr) return;
  registry_ = std::move(registry);
  process_metrics_ = std::make_shared<ProcessMetrics>();
  exposer_->RegisterCollectable(registry_);
  exposer_->RegisterCollectable(process_metrics_);
}

// civetweb 1.15 checks whether it should stop when a connection comes, and otherwise every 2 s,
// which no option changes. So connections are made until it has stopped. Each is closed at once, so
// that a worker that still accepts it reads its end rather than waiting for a request.
void Daemon::StopMetrics() {
  if (exposer_ == nullptr) return;
  absl::Notification stopped;
  std::thread stopping([&] {
    exposer_.reset();
    stopped.Notify();
  });
  do {
    Knock(metrics_address_.host, metrics_port_);
  } while (!stopped.WaitForNotificationWithTimeout(absl::Milliseconds(5)));
  stopping.join();
}

Daemon::~Daemon() {
  StopMetrics();
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
