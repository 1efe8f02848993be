// A process of its own: it takes signals.
#include "net/daemon.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/status.h"
#include "net/limits.h"
#include "tests/unit/net/edge_server.h"
#include "tests/unit/net/http_client.h"

namespace tollgate::net {
namespace {

// Sends this process a signal, and returns once the daemon has taken it.
void Send(int signal) {
  kill(getpid(), signal);
  sigset_t pending;
  do {
    sigpending(&pending);
  } while (sigismember(&pending, signal) == 1);
}

// What a child, made before this process has any thread, ends with.
int ExitOf(void (*body)()) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    body();
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

// Where a child's words go.
int said_at = -1;

std::unique_ptr<Daemon> StartedInChild() {
  BlockShutdownSignals();
  auto daemon = Daemon::Start({"test", "", nullptr});
  if (!daemon.ok()) _exit(1);
  return std::move(*daemon);
}

TEST(DaemonTest, HoweverManyAskItIsOneRequestAndQuitEndsAtOnce) {
  EXPECT_EQ(ExitOf([] {
              auto daemon = StartedInChild();
              Send(SIGTERM);
              daemon->WaitForShutdownSignal();
              for (const int again : {SIGTERM, SIGINT, SIGTERM, SIGINT, SIGHUP}) Send(again);
              if (!daemon->shutdown_requested()) _exit(2);
              Send(SIGQUIT);
              for (;;) pause();
            }),
            128 + SIGQUIT);
}

TEST(DaemonTest, AClosedTerminalAsksForTheSameUnlessNohupSaysNo) {
  EXPECT_EQ(ExitOf([] {
              auto daemon = StartedInChild();
              Send(SIGHUP);
              daemon->WaitForShutdownSignal();
            }),
            0);
  EXPECT_EQ(ExitOf([] {
              signal(SIGHUP, SIG_IGN);
              auto daemon = StartedInChild();
              Send(SIGHUP);
              Send(SIGUSR1);  // taken after it
              if (daemon->shutdown_requested()) _exit(2);
            }),
            0);
}

TEST(DaemonTest, AHangUpThatAProcessSentIsToldToWhoeverWantsIt) {
  EXPECT_EQ(ExitOf([] {
              auto daemon = StartedInChild();
              std::atomic<int> told{0};
              daemon->OnHangUp([&told] { ++told; });
              for (int i = 0; i < 3; ++i) {
                Send(SIGHUP);
                while (told <= i) std::this_thread::yield();
              }
              if (daemon->shutdown_requested()) _exit(2);
              daemon->OnHangUp(nullptr);
              Send(SIGHUP);
              daemon->WaitForShutdownSignal();
              if (told != 3) _exit(3);
            }),
            0);
}

TEST(DaemonTest, AStopThatHangsIsEnded) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  said_at = ends[1];
  EXPECT_EQ(ExitOf([] {
              dup2(said_at, STDERR_FILENO);
              auto daemon = StartedInChild();
              daemon->BoundStopping(absl::Hours(1));  // the last call counts
              daemon->BoundStopping(absl::Milliseconds(200),
                                    [] { return std::string("a commit in /data"); });
              Send(SIGTERM);
              for (;;) pause();
            }),
            kExitStopOverdue);
  close(ends[1]);
  char said[4096];
  const ssize_t size = read(ends[0], said, sizeof(said));
  close(ends[0]);
  ASSERT_GT(size, 0);
  EXPECT_THAT(std::string(said, static_cast<size_t>(size)),
              testing::AllOf(testing::HasSubstr("stopping takes too long"),
                             testing::HasSubstr("a commit in /data")));
}

TEST(DaemonTest, SignalsOfNoMeaningEndNothing) {
  EXPECT_EQ(ExitOf([] {
              auto daemon = StartedInChild();
              for (int number = 1; number <= SIGRTMAX; ++number) {
                switch (number) {
                  case SIGTERM:
                  case SIGINT:
                  case SIGHUP:
                  case SIGQUIT:
                  case SIGXCPU:  // these ask for something
                  case SIGKILL:
                  case SIGSTOP:
                  case SIGTSTP:
                  case SIGTTIN:
                  case SIGTTOU:  // these stop
                  case SIGILL:
                  case SIGTRAP:
                  case SIGABRT:
                  case SIGBUS:
                  case SIGFPE:
                  case SIGSEGV:
                  case SIGSYS:  // these tell of a fault in it
                    continue;
                  default:
                    if (number < 32 || number >= SIGRTMIN) Send(number);
                }
              }
              if (daemon->shutdown_requested()) _exit(2);
            }),
            0);
}

TEST(DaemonTest, SignalsMustBeBlockedFirst) {
  const pid_t child = fork();
  if (child == 0)
    _exit(base::ReasonOf(Daemon::Start({"test", "", nullptr}).status()) == "SIGNALS_NOT_BLOCKED"
              ? 0
              : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

std::string HttpGet(const Daemon& daemon, const std::string& path) {
  HttpClient client(ParseAddress(daemon.metrics_address()).value());
  client.Get(path);
  return client.Answer();
}

TEST(DaemonTest, ServesMetricsOnAPortOfTheKernelsChoice) {
  BlockShutdownSignals();
  auto registry = std::make_shared<prometheus::Registry>();
  prometheus::BuildCounter().Name("tollgate_test_total").Register(*registry).Add({}).Increment(3);
  auto daemon = Daemon::Start({"test", "127.0.0.1:0", registry});
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  ASSERT_GT((*daemon)->metrics_port(), 0);
  EXPECT_THAT(HttpGet(**daemon, "/metrics"), testing::HasSubstr("tollgate_test_total 3"));
  const std::string taken = "127.0.0.1:" + std::to_string((*daemon)->metrics_port());
  EXPECT_EQ(base::ReasonOf(Daemon::Start({"test", taken, registry}).status()), "ADDRESS_IN_USE");
  EXPECT_EQ(base::ReasonOf(Daemon::Start({"test", "nonsense", registry}).status()),
            "ADDRESS_INVALID");
  EXPECT_FALSE((*daemon)->WaitForShutdownSignal(absl::ZeroDuration()));
  (*daemon)->RequestShutdown();
  EXPECT_TRUE((*daemon)->WaitForShutdownSignal(kTestPatience));
}

TEST(DaemonTest, AStopInTimeIsNotEndedAndNoRequestIsNoStop) {
  BlockShutdownSignals();
  auto daemon = Daemon::Start({"test", "", nullptr});
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  (*daemon)->BoundStopping(absl::ZeroDuration());
  EXPECT_FALSE((*daemon)->WaitForShutdownSignal(absl::Milliseconds(50))) << "and yet it lives";
  (*daemon)->BoundStopping(absl::Hours(1));
  (*daemon)->RequestShutdown();
  EXPECT_TRUE((*daemon)->WaitForShutdownSignal(kTestPatience));
}

TEST(DaemonTest, ServesMetricsWhereverItIsAskedTo) {
  BlockShutdownSignals();
  TempFolder folder;
  EXPECT_EQ((*Daemon::Start({"test", "", nullptr}))->metrics_address(), "");
  for (const std::string& listen : {std::string("127.0.0.1:0"), std::string("localhost:0"),
                                    std::string("[::1]:0"), "unix:" + (folder / "m.sock")}) {
    auto daemon = Daemon::Start({"test", listen, nullptr});
    if (listen == "[::1]:0" && base::ReasonOf(daemon.status()) == "ADDRESS_UNAVAILABLE") continue;
    ASSERT_TRUE(daemon.ok()) << listen << ": " << daemon.status();
    EXPECT_THAT(HttpGet(**daemon, "/metrics"), testing::HasSubstr("200 OK")) << listen;
  }
}

TEST(DaemonTest, EndsPromptlyAlsoWithConnectionsToItsMetrics) {
  BlockShutdownSignals();
  for (const char* listen : {"127.0.0.1:0", "localhost:0", "0.0.0.0:0"}) {
    auto daemon = Daemon::Start({"test", listen, std::make_shared<prometheus::Registry>()});
    ASSERT_TRUE(daemon.ok()) << listen << ": " << daemon.status();
    HttpClient idle(ParseAddress((*daemon)->metrics_address()).value());
    EXPECT_TRUE(idle.connected());
    daemon->reset();
    EXPECT_TRUE(idle.IsClosed());
  }
}

TEST(ExitCode, IsStable) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), 64);
  EXPECT_EQ(ExitCodeOf(absl::AlreadyExistsError("")), 73);
  EXPECT_EQ(ExitCodeOf(absl::FailedPreconditionError("")), 78);
}

TEST(Limits, ATooLargeMessageIsRefused) {
  EdgeServer edge;
  grpc::ServerBuilder builder;
  builder.RegisterService(&edge);
  ServerLimits limits;
  limits.max_receive_bytes = 1000;
  ApplyServerLimits(builder, limits);
  Acceptor::Options options;
  options.address = ParseAddress("127.0.0.1:0").value();
  auto acceptor = edge.listeners.Add(builder, options, grpc::InsecureServerCredentials());
  edge.address = (*acceptor)->address();
  edge.server = builder.BuildAndStart();
  ASSERT_TRUE(edge.listeners.Start().ok());
  auto stub = edge.Stub();
  v1::ResolveRequest request;
  v1::ResolveResponse response;
  request.set_epoch(std::string(2000, 'x'));
  grpc::ClientContext context;
  EXPECT_EQ(stub->Resolve(&context, request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

}  // namespace
}  // namespace tollgate::net
