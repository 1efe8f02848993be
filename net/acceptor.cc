#include "net/acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "base/thread.h"

namespace tollgate::net {
namespace {

constexpr int kDescriptorsKeptBack = 256;
constexpr int kMostConnections = 16384;
constexpr absl::Duration kSweepEvery = absl::Seconds(1);
constexpr absl::Duration kSweepAtCapEvery = absl::Milliseconds(20);
constexpr absl::Duration kRetryAfterError = absl::Milliseconds(10);
constexpr int kAcceptsInARow = 64;
constexpr int kLockTries = 100;
constexpr absl::Duration kLockPause = absl::Milliseconds(10);
constexpr absl::Duration kLogEvery = absl::Seconds(1);

// Whether to log again about a condition that goes on; *last is when it was logged last.
bool IsTimeToLog(absl::Time* last) {
  const absl::Time now = absl::Now();
  if (now - *last < kLogEvery && now >= *last) return false;
  *last = now;
  return true;
}

absl::Status BindError(const Address& address, int error) {
  const std::string where = address.ToString();
  const std::string why = std::strerror(error);
  if (error == EADDRINUSE) {
    return base::Refuse(
        absl::StatusCode::kAlreadyExists, "ADDRESS_IN_USE",
        absl::StrCat("cannot listen on ", where, ": another process listens there. ",
                     "Stop it, or choose another address."));
  }
  if (error == EACCES || error == EPERM || error == EROFS) {
    return base::Refuse(
        absl::StatusCode::kPermissionDenied, "ADDRESS_DENIED",
        absl::StrCat("cannot listen on ", where, ": ", why,
                     ". Choose a port above 1023 or a directory that this user may write."));
  }
  absl::string_view advice = "";
  if (error == ENOENT || error == ENOTDIR) {
    advice = " Make the socket's directory first, or choose another path.";
  } else if (error == EADDRNOTAVAIL) {
    advice = " Choose an address of this host, such as 127.0.0.1 or 0.0.0.0.";
  }
  return base::Refuse(absl::StatusCode::kUnavailable, "ADDRESS_UNAVAILABLE",
                      absl::StrCat("cannot listen on ", where, ": ", why, ".", advice));
}

int ConnectionCap(const Acceptor::Options& options) {
  if (options.max_connections > 0) return options.max_connections;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return kMostConnections;
  const auto files = static_cast<int64_t>(std::min<rlim_t>(limit.rlim_cur, 1 << 30));
  return static_cast<int>(std::clamp<int64_t>(
      (files - kDescriptorsKeptBack) / std::max(options.share_of, 1), 16, kMostConnections));
}

constexpr size_t kSpares = 4;

// As many spares as there should be, as far as there are descriptors for them.
void FillSpares(std::vector<int>* spares) {
  while (spares->size() < kSpares) {
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    spares->push_back(fd);
  }
}

sockaddr_un UnixName(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());  // ParseAddress bounds it
  return name;
}

// Removes a socket file on which nobody answers. OK also where there is no file.
absl::Status RemoveStale(const Address& address) {
  struct stat file{};
  if (lstat(address.path.c_str(), &file) != 0) {
    return errno == ENOENT ? absl::OkStatus() : BindError(address, errno);
  }
  if (!S_ISSOCK(file.st_mode)) {
    return base::Refuse(
        absl::StatusCode::kAlreadyExists, "ADDRESS_IN_USE",
        absl::StrCat("cannot listen on ", address.ToString(),
                     ": a file that is not a socket is there. Remove it, or choose another path."));
  }
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return BindError(address, errno);
  auto close_probe = absl::MakeCleanup([probe] { close(probe); });
  const sockaddr_un name = UnixName(address.path);
  // EAGAIN is a full backlog, so somebody listens. Only a refused connection proves that nobody
  // does.
  if (connect(probe, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0 ||
      errno != ECONNREFUSED) {
    return BindError(address, EADDRINUSE);
  }
  if (unlink(address.path.c_str()) != 0 && errno != ENOENT) return BindError(address, errno);
  return absl::OkStatus();
}

absl::StatusOr<int> BindUnix(const Acceptor::Options& options) {
  const Address& address = options.address;
  // Two programs that start at once must not remove each other's socket: the directory is locked
  // from the probe to the bind. (Best effort: where it cannot be locked, the probe still holds.)
  const size_t slash = address.path.rfind('/');
  const std::string directory = slash == std::string::npos ? "."
                                : slash == 0               ? "/"
                                                           : address.path.substr(0, slash);
  const int directory_fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory_fd < 0) return BindError(address, errno);
  auto unlock = absl::MakeCleanup([directory_fd] { close(directory_fd); });
  // Anybody who may read the directory may lock it, so the wait is bounded.
  for (int i = 0; i < kLockTries && flock(directory_fd, LOCK_EX | LOCK_NB) != 0; ++i) {
    absl::SleepFor(kLockPause);
  }
  RETURN_IF_ERROR(RemoveStale(address));

  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return BindError(address, errno);
  auto close_fd = absl::MakeCleanup([fd] { close(fd); });
  // The mode of the unbound socket, less the umask, becomes that of the file which bind makes. The
  // file is therefore never wider than asked; chmod then undoes the umask.
  const sockaddr_un name = UnixName(address.path);
  if (fchmod(fd, options.socket_mode) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0) {
    return BindError(address, errno);
  }
  if (chmod(address.path.c_str(), options.socket_mode) != 0 || listen(fd, options.backlog) != 0) {
    const int error = errno;
    unlink(address.path.c_str());
    return BindError(address, error);
  }
  std::move(close_fd).Cancel();
  return fd;
}

// -1, with errno, where it cannot be had.
int ListenOn(const addrinfo& where, int backlog) {
  const int fd = socket(where.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  // Inherited by what is accepted.
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  if (bind(fd, where.ai_addr, where.ai_addrlen) == 0 && listen(fd, backlog) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

// The host has no such address, or not the family.
bool IsNotOfThisHost(int error) { return error == EADDRNOTAVAIL || error == EAFNOSUPPORT; }

absl::StatusOr<int> BindTcp(const Acceptor::Options& options) {
  const Address& address = options.address;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  // One name, one socket: "localhost" is 127.0.0.1, whatever the order of /etc/hosts, and ::1 where
  // the host has no IPv4.
  std::vector<std::string> hosts = {address.host};
  if (absl::EqualsIgnoreCase(address.host, "localhost")) hosts = {"127.0.0.1", "::1"};
  int error = EADDRNOTAVAIL;
  for (const std::string& host : hosts) {
    addrinfo* found = nullptr;
    const int failed =
        getaddrinfo(host.c_str(), absl::StrCat(address.port).c_str(), &hints, &found);
    if (failed != 0) {
      return base::Refuse(absl::StatusCode::kInvalidArgument, "ADDRESS_INVALID",
                          absl::StrCat("cannot listen on ", address.ToString(),
                                       ": the host does not resolve (", gai_strerror(failed),
                                       "). Write an address of this host, such as 127.0.0.1."));
    }
    auto free_found = absl::MakeCleanup([found] { freeaddrinfo(found); });
    // Of a name's addresses the first that this host has.
    for (const addrinfo* where = found; where != nullptr; where = where->ai_next) {
      const int fd = ListenOn(*where, options.backlog);
      if (fd >= 0) return fd;
      error = errno;
      if (!IsNotOfThisHost(error)) return BindError(address, error);
    }
  }
  return BindError(address, error);
}

uint16_t PortOf(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof(name);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) return 0;
  if (name.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&name)->sin_port);
  if (name.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&name)->sin6_port);
  return 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Bind(Options options) {
  absl::StatusOr<int> bound = options.address.is_unix() ? BindUnix(options) : BindTcp(options);
  if (!bound.ok()) return bound.status();
  Address address = options.address;
  if (!address.is_unix()) address.port = PortOf(*bound);
  const int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0) {
    const int error = errno;
    close(*bound);
    return BindError(address, error);
  }
  const int cap = ConnectionCap(options);
  return std::unique_ptr<Acceptor>(
      new Acceptor(std::move(options), std::move(address), *bound, wake_fd, cap));
}

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Start(Options options, Handler handler) {
  ASSIGN_OR_RETURN(std::unique_ptr<Acceptor> acceptor, Bind(std::move(options)));
  RETURN_IF_ERROR(acceptor->Start(std::move(handler)));
  return acceptor;
}

Acceptor::Acceptor(Options options, Address address, int listen_fd, int wake_fd,
                   int max_connections)
    : options_(std::move(options)),
      address_(std::move(address)),
      max_connections_(max_connections),
      listen_fd_(listen_fd),
      wake_fd_(wake_fd) {
  FillSpares(&spares_);
  NoteFile();
}

Acceptor::~Acceptor() {
  Stop();
  for (const int fd : spares_) close(fd);
  close(wake_fd_);
}

absl::Status Acceptor::Start(Handler handler) {
  handler_ = std::move(handler);
  accept_tokens_ = std::max(1.0, options_.max_accepts_per_second);
  tokens_at_ = absl::Now();
  ASSIGN_OR_RETURN(thread_, base::StartThread([this] { Loop(); }));
  return absl::OkStatus();
}

void Acceptor::Stop() {
  if (stopping_.exchange(true)) return;
  const uint64_t one = 1;
  (void)!write(wake_fd_, &one, sizeof(one));
  if (thread_.joinable()) thread_.join();
  if (address_.is_unix() && FileIsOurs()) unlink(address_.path.c_str());
  close(listen_fd_);
  listen_fd_ = -1;
}

void Acceptor::NoteFile() {
  struct stat file{};
  if (!address_.is_unix() || lstat(address_.path.c_str(), &file) != 0) return;
  socket_file_device_ = file.st_dev;
  socket_file_inode_ = file.st_ino;
}

bool Acceptor::FileIsOurs() const {
  struct stat file{};
  return lstat(address_.path.c_str(), &file) == 0 && file.st_dev == socket_file_device_ &&
         file.st_ino == socket_file_inode_;
}

void Acceptor::KeepFile() {
  if (!address_.is_unix() || FileIsOurs()) return;
  // Also where a dead process's socket is in its place; not where somebody listens.
  absl::StatusOr<int> bound = BindUnix(options_);
  if (!bound.ok()) {
    if (!std::exchange(file_lost_, true)) {
      base::Log(base::LogLevel::kError,
                "the socket's file was removed or replaced, and cannot be made anew: nobody new "
                "can connect",
                {{"address", address_.ToString()}, {"status", bound.status()}});
    }
    return;
  }
  // Who connected by the old file and was not accepted yet sees an end, and retries.
  close(listen_fd_);
  listen_fd_ = *bound;
  NoteFile();
  file_lost_ = false;
  base::Log(base::LogLevel::kWarning, "the socket's file was removed; it was made anew",
            {{"address", address_.ToString()}});
}

Acceptor::Stats Acceptor::stats() const {
  Stats stats;
  stats.accepted = accepted_.load(std::memory_order_relaxed);
  stats.refused_full = refused_full_.load(std::memory_order_relaxed);
  stats.refused_uid = refused_uid_.load(std::memory_order_relaxed);
  stats.refused_descriptors = refused_descriptors_.load(std::memory_order_relaxed);
  stats.accept_errors = accept_errors_.load(std::memory_order_relaxed);
  stats.connections = connections_.load(std::memory_order_relaxed);
  return stats;
}

int64_t Acceptor::SweepConnections() {
  absl::MutexLock lock(&mu_);
  return SweepLocked();
}

int64_t Acceptor::SweepLocked() {
  for (auto it = alive_.begin(); it != alive_.end();) {
    struct stat now{};
    const bool same = fstat(it->first, &now) == 0 && now.st_ino == it->second;
    it = same ? std::next(it) : alive_.erase(it);
  }
  swept_at_ = absl::Now();
  const auto count = static_cast<int64_t>(alive_.size());
  connections_.store(count, std::memory_order_relaxed);
  return count;
}

bool Acceptor::HasRoom() {
  absl::MutexLock lock(&mu_);
  if (static_cast<int>(alive_.size()) < max_connections_) return true;
  const absl::Duration since = absl::Now() - swept_at_;
  if (since >= absl::ZeroDuration() && since < kSweepAtCapEvery) return false;
  return SweepLocked() < max_connections_;
}

void Acceptor::Loop() {
  absl::Duration wait = absl::ZeroDuration();
  while (!stopping_.load(std::memory_order_relaxed)) {
    // While the loop must wait (rate, no descriptors), it does not poll the listening socket.
    const bool listening = wait == absl::ZeroDuration();
    pollfd fds[2] = {{wake_fd_, POLLIN, 0}, {listening ? listen_fd_ : -1, POLLIN, 0}};
    const absl::Duration timeout = listening ? kSweepEvery : std::max(wait, absl::Milliseconds(1));
    const int ready = poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(timeout)));
    if (stopping_.load(std::memory_order_relaxed)) return;
    wait = absl::ZeroDuration();
    if (ready > 0 && fds[1].revents != 0) wait = AcceptSome();
    {
      absl::MutexLock lock(&mu_);
      const absl::Duration since = absl::Now() - swept_at_;
      if (since >= absl::ZeroDuration() && since < kSweepEvery) continue;
      SweepLocked();
    }
    KeepFile();
  }
}

absl::Duration Acceptor::AcceptSome() {
  for (int i = 0; i < kAcceptsInARow; ++i) {
    if (options_.max_accepts_per_second > 0) {
      const absl::Time now = absl::Now();
      const double gained =
          absl::ToDoubleSeconds(std::max(now - tokens_at_, absl::ZeroDuration())) *
          options_.max_accepts_per_second;
      tokens_at_ = now;
      accept_tokens_ =
          std::min(std::max(1.0, options_.max_accepts_per_second), accept_tokens_ + gained);
      if (accept_tokens_ < 1) {
        return absl::Seconds((1 - accept_tokens_) / options_.max_accepts_per_second);
      }
    }
    const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      accept_tokens_ -= 1;
      HandOut(fd);
      continue;
    }
    switch (errno) {
      case EAGAIN:
        return absl::ZeroDuration();
      case EINTR:
      case ECONNABORTED:
        continue;
      case EMFILE:
      case ENFILE:
        FillSpares(&spares_);
        if (spares_.empty()) return kRetryAfterError;
        ShedOne();
        continue;
      default:
        // Errors of one connection (EPROTO, ENETDOWN …) and lack of memory: let a moment pass.
        accept_errors_.fetch_add(1, std::memory_order_relaxed);
        return kRetryAfterError;
    }
  }
  return absl::ZeroDuration();
}

void Acceptor::ShedOne() {
  close(spares_.back());
  spares_.pop_back();
  const int victim = accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (victim >= 0) close(victim);
  FillSpares(&spares_);
  if (victim < 0) return;
  refused_descriptors_.fetch_add(1, std::memory_order_relaxed);
  if (IsTimeToLog(&last_exhausted_log_)) {
    base::Log(base::LogLevel::kError, "out of descriptors: a connection was closed unanswered",
              {{"address", address_.ToString()},
               {"refused", refused_descriptors_.load(std::memory_order_relaxed)},
               {"advice",
                "raise the limit on open files (LimitNOFILE), or lower the cap on connections"}});
  }
}

bool Acceptor::PeerAllowed(int fd, AcceptedConnection* connection) const {
  if (!address_.is_unix()) return true;
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return !options_.allowed_uids.has_value();
  connection->uid = peer.uid;
  connection->pid = peer.pid;
  if (!options_.allowed_uids.has_value()) return true;
  const auto& allowed = *options_.allowed_uids;
  return std::find(allowed.begin(), allowed.end(), peer.uid) != allowed.end();
}

void Acceptor::HandOut(int fd) {
  AcceptedConnection connection;
  connection.fd = fd;
  struct stat socket_file{};
  if (!PeerAllowed(fd, &connection)) {
    refused_uid_.fetch_add(1, std::memory_order_relaxed);
    base::LogSummed(base::LogLevel::kWarning, "connection refused: its user is not allowed here",
                    absl::StrCat("uid ", connection.uid.value_or(-1)),
                    {{"address", address_.ToString()},
                     {"uid", static_cast<int64_t>(connection.uid.value_or(-1))},
                     {"pid", static_cast<int64_t>(connection.pid.value_or(-1))}});
    close(fd);
    return;
  }
  if (!HasRoom() || fstat(fd, &socket_file) != 0) {
    refused_full_.fetch_add(1, std::memory_order_relaxed);
    close(fd);
    if (IsTimeToLog(&last_full_log_)) {
      base::Log(base::LogLevel::kWarning,
                "as many connections as may be: one was closed unanswered",
                {{"address", address_.ToString()},
                 {"connections", max_connections_},
                 {"refused", refused_full_.load(std::memory_order_relaxed)}});
    }
    return;
  }
  {
    absl::MutexLock lock(&mu_);
    alive_[fd] = socket_file.st_ino;  // a closed one of the same number is thereby forgotten
    connections_.store(static_cast<int64_t>(alive_.size()), std::memory_order_relaxed);
  }
  accepted_.fetch_add(1, std::memory_order_relaxed);
  handler_(connection);
}

}  // namespace tollgate::net
