#include "net/acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "base/log.h"
#include "base/status.h"
#include "net/listener_metrics.h"
#include "tests/unit/net/edge_server.h"

namespace tollgate::net {
namespace {

// Connects; -1 when refused.
int Connect(const Address& address) {
  const int fd = socket(address.is_unix() ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int failed;
  if (address.is_unix()) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::strncpy(name.sun_path, address.path.c_str(), sizeof(name.sun_path) - 1);
    failed = connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name));
  } else {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(address.port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    failed = connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name));
  }
  if (failed == 0) return fd;
  close(fd);
  return -1;
}

// The peer has closed, or reset, within the patience of a test.
bool ClosedByPeer(int fd) {
  pollfd p{fd, POLLIN, 0};
  if (poll(&p, 1, 20000) != 1) return false;
  char c;
  return recv(fd, &c, 1, 0) <= 0;
}

// Takes what is accepted and counts.
class Taker {
 public:
  Acceptor::Handler handler() {
    return [this](AcceptedConnection c) {
      absl::MutexLock lock(&mu_);
      taken_.push_back(c);
    };
  }
  AcceptedConnection Wait(size_t n) {
    absl::MutexLock lock(&mu_);
    const auto enough = [this, n]()
                            ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return taken_.size() > n; };
    return mu_.AwaitWithTimeout(absl::Condition(&enough), kTestPatience) ? taken_[n]
                                                                         : AcceptedConnection{};
  }
  ~Taker() {
    absl::MutexLock lock(&mu_);
    for (const auto& c : taken_) close(c.fd);
  }

 private:
  absl::Mutex mu_;
  std::vector<AcceptedConnection> taken_ ABSL_GUARDED_BY(mu_);
};

Acceptor::Options On(const std::string& address) {
  Acceptor::Options options;
  options.address = ParseAddress(address).value();
  return options;
}

TEST(Acceptor, PortZeroIsChosenAndATakenPortIsACleanError) {
  Taker taker;
  auto acceptor = Acceptor::Start(On("127.0.0.1:0"), taker.handler());
  ASSERT_TRUE(acceptor.ok()) << acceptor.status();
  ASSERT_GT((*acceptor)->port(), 0);
  const int fd = Connect((*acceptor)->address());
  ASSERT_GE(fd, 0);
  EXPECT_GE(taker.Wait(0).fd, 0);
  EXPECT_FALSE(taker.Wait(0).uid.has_value());

  auto second = Acceptor::Bind(On((*acceptor)->address().ToString()));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(base::ReasonOf(second.status()), "ADDRESS_IN_USE");

  const Address address = (*acceptor)->address();
  (*acceptor)->Stop();
  (*acceptor)->Stop();
  EXPECT_LT(Connect(address), 0) << "nobody listens after Stop";
  close(fd);
}

// A network of its own, with the loopback of one family. False where this machine allows none.
bool EnterNetwork(int family) {
  if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq lo{};
  std::strncpy(lo.ifr_name, "lo", sizeof(lo.ifr_name) - 1);
  lo.ifr_flags = IFF_UP | IFF_RUNNING;
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) != 0) return false;
  if (family == AF_INET) {
    std::ofstream off("/proc/sys/net/ipv6/conf/lo/disable_ipv6");
    off << "1" << std::flush;
    return off.good();
  }
  lo.ifr_addr.sa_family = AF_INET;  // of 0.0.0.0: it goes
  return ioctl(fd, SIOCSIFADDR, &lo) == 0;
}

TEST(Acceptor, LocalhostIsTheLoopbackThatTheHostHas) {
  for (const int family : {AF_INET, AF_INET6}) {
    const pid_t child = fork();
    if (child == 0) {
      if (!EnterNetwork(family)) _exit(77);
      const char* const own = family == AF_INET ? "127.0.0.1:7000" : "[::1]:7000";
      const char* const other = family == AF_INET ? "[::1]:0" : "127.0.0.1:0";
      if (base::ReasonOf(Acceptor::Bind(On(other)).status()) != "ADDRESS_UNAVAILABLE") _exit(1);
      const auto acceptor = Acceptor::Bind(On("localhost:7000"));
      if (!acceptor.ok()) _exit(2);
      if (base::ReasonOf(Acceptor::Bind(On(own)).status()) != "ADDRESS_IN_USE") _exit(3);
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no network of its own is to be had here";
    EXPECT_EQ(WEXITSTATUS(status), 0) << "family " << family;
  }
}

TEST(Acceptor, AHostThatDoesNotResolveIsRefused) {
  EXPECT_EQ(base::ReasonOf(Acceptor::Bind(On("no-such-host.invalid:0")).status()),
            "ADDRESS_INVALID");
}

TEST(Acceptor, UnixSocketHasItsModeAndTellsThePeer) {
  TempFolder folder;
  Taker taker;
  auto acceptor = Acceptor::Start(On("unix:" + (folder / "a.sock")), taker.handler());
  ASSERT_TRUE(acceptor.ok()) << acceptor.status();
  struct stat file{};
  ASSERT_EQ(stat((folder / "a.sock").c_str(), &file), 0);
  EXPECT_TRUE(S_ISSOCK(file.st_mode));
  EXPECT_EQ(file.st_mode & 0777, 0660u);
  const int fd = Connect((*acceptor)->address());
  const AcceptedConnection got = taker.Wait(0);
  EXPECT_EQ(got.uid, geteuid());
  EXPECT_EQ(got.pid, getpid());
  close(fd);
  (*acceptor)->Stop();
  EXPECT_NE(stat((folder / "a.sock").c_str(), &file), 0) << "Stop removes its file";
}

// Connects, within the patience of a test; -1 where nobody can be reached.
int ConnectAtLast(const Address& address) {
  const absl::Time deadline = absl::Now() + kTestPatience;
  int fd = -1;
  while (fd < 0 && absl::Now() < deadline) {
    fd = Connect(address);
    absl::SleepFor(absl::Milliseconds(5));
  }
  return fd;
}

TEST(Acceptor, ASocketFileThatIsRemovedIsMadeAnew) {
  TempFolder folder;
  const std::string path = folder / "a.sock";
  Taker taker;
  Acceptor::Options options = On("unix:" + path);
  options.socket_mode = 0600;
  auto acceptor = Acceptor::Start(std::move(options), taker.handler());
  ASSERT_TRUE(acceptor.ok()) << acceptor.status();
  const int before = Connect((*acceptor)->address());
  ASSERT_GE(taker.Wait(0).fd, 0);
  ASSERT_EQ(unlink(path.c_str()), 0);
  const int after = ConnectAtLast((*acceptor)->address());
  ASSERT_GE(after, 0);
  ASSERT_GE(taker.Wait(1).fd, 0);
  struct stat file{};
  ASSERT_EQ(stat(path.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  EXPECT_EQ(write(before, "x", 1), 1) << "who was connected stays so";
  (*acceptor)->Stop();
  EXPECT_NE(stat(path.c_str(), &file), 0) << "the new one is its own, too";
  close(before);
  close(after);
}

TEST(Acceptor, WhatStandsInItsFilesPlaceIsLeftAloneAndTold) {
  static std::atomic<int> told{0};
  base::SetLogSink([](base::LogLevel level, absl::string_view line) {
    if (level == base::LogLevel::kError && absl::StrContains(line, "nobody new can connect"))
      ++told;
    return true;
  });
  TempFolder folder;
  const std::string path = folder / "a.sock";
  Taker taker;
  auto acceptor = Acceptor::Start(On("unix:" + path), taker.handler());
  ASSERT_TRUE(acceptor.ok()) << acceptor.status();
  std::ofstream(folder / "precious") << "precious";
  std::filesystem::rename(folder / "precious", path);
  for (const absl::Time start = absl::Now(); told == 0 && absl::Now() - start < kTestPatience;) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(std::filesystem::is_regular_file(path));
  std::filesystem::remove(path);
  const int fd = ConnectAtLast((*acceptor)->address());
  EXPECT_GE(fd, 0);
  close(fd);
  (*acceptor)->Stop();
  base::SetLogSink(nullptr);
}

TEST(Acceptor, OnlyAllowedUsersPass) {
  TempFolder folder;
  Taker taker;
  Acceptor::Options options = On("unix:" + (folder / "a.sock"));
  options.allowed_uids = std::vector<uid_t>{geteuid() + 1};
  auto acceptor = Acceptor::Start(options, taker.handler());
  ASSERT_TRUE(acceptor.ok()) << acceptor.status();
  const int fd = Connect((*acceptor)->address());
  EXPECT_TRUE(ClosedByPeer(fd));
  EXPECT_EQ((*acceptor)->stats().refused_uid, 1u);
  EXPECT_EQ((*acceptor)->stats().accepted, 0u);
  close(fd);
}

TEST(Acceptor, AStaleSocketIsReplacedAndALiveOneIsNot) {
  TempFolder folder;
  const std::string path = folder / "a.sock";
  {  // a process that died: bound, listening, closed, the file left behind
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::strncpy(name.sun_path, path.c_str(), sizeof(name.sun_path) - 1);
    ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
    ASSERT_EQ(listen(fd, 1), 0);
    close(fd);
  }
  Taker taker;
  auto first = Acceptor::Start(On("unix:" + path), taker.handler());
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = Acceptor::Bind(On("unix:" + path));
  EXPECT_EQ(base::ReasonOf(second.status()), "ADDRESS_IN_USE");
  const int fd = Connect((*first)->address());
  EXPECT_GE(fd, 0) << "the first still answers";
  close(fd);
}

TEST(Acceptor, AFileThatIsNoSocketIsLeftAlone) {
  TempFolder folder;
  std::ofstream(folder / "precious") << "data";
  EXPECT_EQ(base::ReasonOf(Acceptor::Bind(On("unix:" + (folder / "precious"))).status()),
            "ADDRESS_IN_USE");
  EXPECT_TRUE(std::filesystem::exists(folder / "precious"));
  EXPECT_FALSE(Acceptor::Bind(On("unix:" + (folder / "no/such/folder.sock"))).ok());
}

TEST(Acceptor, StopLeavesASuccessorsSocketAlone) {
  TempFolder folder;
  const std::string path = folder / "a.sock";
  Taker taker;
  auto first = Acceptor::Start(On("unix:" + path), taker.handler());
  ASSERT_TRUE(first.ok());
  std::filesystem::remove(path);
  auto second = Acceptor::Start(On("unix:" + path), taker.handler());
  ASSERT_TRUE(second.ok()) << second.status();
  (*first)->Stop();
  const int fd = Connect((*second)->address());
  EXPECT_GE(fd, 0);
  close(fd);
}

TEST(Acceptor, TheCapHoldsUntilAConnectionEnds) {
  Taker taker;
  Acceptor::Options options = On("127.0.0.1:0");
  options.max_connections = 2;
  absl::Mutex mu;
  std::vector<int> server_side;
  auto acceptor = Acceptor::Start(options, [&](AcceptedConnection c) {
    absl::MutexLock lock(&mu);
    server_side.push_back(c.fd);
  });
  ASSERT_TRUE(acceptor.ok());
  const int a = Connect((*acceptor)->address());
  const int b = Connect((*acceptor)->address());
  const int c = Connect((*acceptor)->address());
  EXPECT_TRUE(ClosedByPeer(c));
  EXPECT_EQ((*acceptor)->stats().refused_full, 1u);
  EXPECT_EQ((*acceptor)->SweepConnections(), 2);
  {
    absl::MutexLock lock(&mu);
    ASSERT_EQ(server_side.size(), 2u);
    close(server_side[0]);
    server_side.erase(server_side.begin());
  }
  EXPECT_EQ((*acceptor)->SweepConnections(), 1);
  const int d = Connect((*acceptor)->address());
  const auto again = [&] { return server_side.size() == 2; };
  {
    absl::MutexLock lock(&mu);
    EXPECT_TRUE(mu.AwaitWithTimeout(absl::Condition(&again), kTestPatience));
  }
  EXPECT_EQ((*acceptor)->stats().accepted, 3u);
  (*acceptor)->Stop();
  for (const int fd : {a, b, c, d}) close(fd);
  for (const int fd : server_side) close(fd);
}

TEST(Acceptor, TheRateHoldsBackButLosesNobody) {
  Taker taker;
  Acceptor::Options options = On("127.0.0.1:0");
  options.max_accepts_per_second = 20;
  auto acceptor = Acceptor::Start(options, taker.handler());
  ASSERT_TRUE(acceptor.ok());
  const absl::Time start = absl::Now();
  std::vector<int> fds;
  for (int i = 0; i < 26; ++i) fds.push_back(Connect((*acceptor)->address()));
  EXPECT_GE(taker.Wait(25).fd, 0);
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(200)) << "20 at once, then one every 50 ms";
  for (const int fd : fds) close(fd);
}

// Anybody who may read a directory may lock it.
TEST(Acceptor, AForeignLockOnTheFolderDoesNotHoldUpAStart) {
  TempFolder folder;
  const int foreign = open((folder / "").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(foreign, 0);
  ASSERT_EQ(flock(foreign, LOCK_EX), 0);
  auto acceptor = Acceptor::Bind(On("unix:" + (folder / "a.sock")));
  EXPECT_TRUE(acceptor.ok()) << acceptor.status();
  close(foreign);
}

TEST(Acceptor, TheLimitOnOpenFilesIsShared) {
  Acceptor::Options options = On("127.0.0.1:0");
  const int alone = (*Acceptor::Bind(options))->max_connections();
  options.share_of = 2;
  const int shared = (*Acceptor::Bind(options))->max_connections();
  rlimit files{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  if (files.rlim_cur < 16384) {
    EXPECT_EQ(shared, alone / 2);
  } else {
    EXPECT_LE(2 * static_cast<rlim_t>(shared), files.rlim_cur);
  }
  options.max_connections = 7;
  EXPECT_EQ((*Acceptor::Bind(options))->max_connections(), 7) << "asked for";
}

TEST(GrpcListeners, WhatTheyCountIsThereForPrometheus) {
  EdgeServer edge;
  Acceptor::Options options = On("127.0.0.1:0");
  options.max_connections = 1;
  ASSERT_TRUE(edge.Start(options).ok());
  auto stub = edge.Stub();
  v1::ResolveResponse response;
  ASSERT_TRUE(Ask(*stub, &response).ok());
  const int turned_away = Connect(edge.address);
  char byte;
  EXPECT_LE(recv(turned_away, &byte, 1, 0), 0);
  close(turned_away);
  const absl::Time until = absl::Now() + kTestPatience;
  while (edge.listeners.acceptors()[0]->stats().refused_full == 0 && absl::Now() < until) {
    sched_yield();
  }
  const auto families = ListenerMetrics(edge.listeners);
  ASSERT_EQ(families.size(), 3u);
  EXPECT_EQ(families[0].metric[0].gauge.value, 1);
  EXPECT_EQ(families[0].metric[0].label[0].value, edge.address.ToString());
  EXPECT_EQ(families[1].metric[0].counter.value, 1);
  EXPECT_EQ(families[2].metric[0].label[1].value, "full");
  EXPECT_EQ(families[2].metric[0].counter.value, 1);
}

// A small message can inflate to any size, and gRPC looks at the size afterwards.
TEST(ServerLimits, CompressedMessagesAreNotTaken) {
  EdgeServer edge;
  edge.limits = ServerLimits();
  ASSERT_TRUE(edge.Start().ok());
  auto stub = edge.Stub();
  for (const auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(absl::ToChronoTime(absl::Now() + kTestPatience));
    context.set_compression_algorithm(algorithm);
    v1::ResolveRequest request;
    request.set_validator_id(std::string(1000, 'a'));
    v1::ResolveResponse response;
    EXPECT_EQ(stub->Resolve(&context, request, &response).error_code(),
              grpc::StatusCode::UNIMPLEMENTED);
  }
  v1::ResolveResponse response;
  EXPECT_TRUE(Ask(*stub, &response).ok());
}

TEST(GrpcListeners, AnswersOverTcpAndOverAUnixSocketAndCountsConnections) {
  TempFolder folder;
  for (const std::string& listen : {std::string("127.0.0.1:0"), "unix:" + (folder / "g.sock")}) {
    EdgeServer edge;
    absl::Mutex mu;
    absl::StatusOr<Caller> caller = absl::UnknownError("never called");
    edge.on_resolve = [&](std::shared_ptr<ResolveCall> call) {
      absl::MutexLock lock(&mu);
      caller = CallerOf(call->context());
      call->Reply({});
    };
    ASSERT_TRUE(edge.Start(listen).ok());
    const Acceptor& acceptor = *edge.listeners.acceptors()[0];
    {
      auto stub = edge.Stub();
      v1::ResolveResponse response;
      const grpc::Status status = Ask(*stub, &response);
      ASSERT_TRUE(status.ok()) << status.error_message();
      EXPECT_EQ(acceptor.stats().connections, 1);
    }
    absl::MutexLock lock(&mu);
    ASSERT_TRUE(caller.ok()) << caller.status();
    EXPECT_EQ(caller->kind, Caller::Kind::kLocal) << caller->peer;
    EXPECT_EQ(caller->id, "local");
    // gRPC closes the descriptor when the peer has gone; the sweep then sees it.
    const absl::Time until = absl::Now() + kTestPatience;
    while (edge.listeners.acceptors()[0]->SweepConnections() > 0 && absl::Now() < until)
      sched_yield();
    EXPECT_EQ(acceptor.stats().connections, 0);
  }
}

TEST(GrpcListeners, ATakenPortFailsBeforeTheServerIsBuilt) {
  EdgeServer first;
  ASSERT_TRUE(first.Start().ok());
  EdgeServer second;
  EXPECT_EQ(base::ReasonOf(second.Start(first.address.ToString())), "ADDRESS_IN_USE");
}

}  // namespace
}  // namespace tollgate::net
