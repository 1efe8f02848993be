// Edges and fork. The process that gtest runs in never starts gRPC: all that does is its child.
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "net/address.h"
#include "net/credentials.h"
#include "tests/unit/validator/embedded/edge_fixture.h"
#include "tollgate/edge_c.h"

namespace tollgate::validator {
namespace {

// Ends the process where it does not hold: in a child gtest's own way would be heard by nobody.
void Must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "in a child: %s\n", what);
  _exit(1);
}
#define MUST(condition) Must(condition, #condition)

// Runs `body` in a child that does not outlive this process by long.
pid_t InChild(const std::function<void()>& body) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  alarm(60);
  body();
  _exit(0);
}
int ExitOf(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

class ForkTest : public EmbeddedTest {
 protected:
  ForkTest() : token_(MakeToken()) {}
  // The service, in a process of its own, until the test ends.
  void SetUp() override { StartServer(); }
  // The same, after its script was changed.
  void RestartServer() {
    kill(server_, SIGKILL);
    ExitOf(server_);
    StartServer();
  }
  void StartServer() {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    server_ = InChild([&] {
      service_.Start(address_);
      MUST(write(ready[1], "x", 1) == 1);
      for (;;) pause();
    });
    char c;
    ASSERT_EQ(read(ready[0], &c, 1), 1);
    close(ready[0]);
    close(ready[1]);
  }
  void TearDown() override {
    kill(server_, SIGKILL);
    ExitOf(server_);
    EmbeddedTest::TearDown();
  }
  std::unique_ptr<edge::Edge> Started(const std::string& id) {
    edge::Options options = Options();
    options.id = id;
    options.log = [](edge::LogLevel, std::string_view) {};
    auto started = edge::Edge::Start(options);
    MUST(started.ok());
    MUST((*started)->WaitUntilLive(kLongEnough));
    return std::move(*started);
  }

  const TestToken token_;
  pid_t server_ = 0;
};

// A server of many processes: the parent starts none, each child its own.
TEST_F(ForkTest, EachChildOfAParentWithoutStartsItsOwn) {
  std::vector<pid_t> workers;
  for (int i = 0; i < 3; ++i) {
    workers.push_back(InChild([&] {
      std::unique_ptr<edge::Edge> edge = Started("test/worker-" + std::to_string(i));
      MUST(edge->CheckBlocking(token_.string, edge::Requirement(), kLongEnough).admitted());
      edge.reset();
    }));
  }
  for (const pid_t pid : workers) EXPECT_EQ(ExitOf(pid), 0);
}

TEST_F(ForkTest, AChildDoesNotDecideOnItsParentsLease) {
  EXPECT_EQ(
      ExitOf(InChild([&] {
        std::unique_ptr<edge::Edge> edge = Started("test/parent");
        edge::Decision decision =
            edge->CheckBlocking(token_.string, edge::Requirement(), kLongEnough);
        MUST(decision.admitted());
        const pid_t child = InChild([&] {
          MUST(edge->Check(token_.string, edge::Requirement(), &decision));
          MUST(decision.verdict() == edge::Verdict::kUnavailable);
          MUST(decision.reason() == edge::Reason::kForked);
          MUST(!decision.has_identity());
          bool called = false;
          edge->CheckAsync(token_.string, edge::Requirement(), [&](const edge::Decision& d) {
            called = d.reason() == edge::Reason::kForked;
          });
          MUST(called);
          MUST(edge->CheckBlocking(token_.string, edge::Requirement(), kLongEnough).reason() ==
               edge::Reason::kForked);
          MUST(!edge->WaitUntilLive(kLongEnough));
          MUST(edge->Status().state == edge::State::kForked);
          MUST(edge->Totals().admitted == 0);
          MUST(edge->Metrics().empty());
          MUST(!edge->Stop());
          edge.reset();  // neither joins nor talks
        });
        MUST(ExitOf(child) == 0);
        // The parent is none the worse, and its goodbye is still its own to say.
        MUST(edge->Check(token_.string, edge::Requirement(), &decision));
        MUST(decision.admitted());
        edge.reset();
      })),
      0);
}

TEST_F(ForkTest, AChildHoldsNothing) {
  EXPECT_EQ(ExitOf(InChild([&] {
              std::unique_ptr<edge::Edge> edge = Started("test/parent");
              edge::Hold hold =
                  edge->HoldBlocking(
                          token_.string, edge::Requirement(), [](edge::Reason) {}, kLongEnough)
                      .second;
              MUST(hold.Good());
              // The ways in which a child may let go of a handle.
              edge::Hold second =
                  edge->HoldBlocking(token_.string, edge::Requirement(), nullptr).second;
              MUST(second.Good());
              MUST(ExitOf(InChild([&] {
                     MUST(!hold.Good());
                     MUST(hold.reason() == edge::Reason::kForked);
                     bool called = false;
                     edge->HoldAsync(token_.string, edge::Requirement(), nullptr,
                                     [&](const edge::Decision& d, edge::Hold none) {
                                       called = d.reason() == edge::Reason::kForked && !none.Good();
                                     });
                     MUST(called);
                     hold.Close();
                     MUST(!hold.Good());
                     second = edge::Hold();
                     edge.reset();
                   })) == 0);
              MUST(hold.Good() && second.Good());
              MUST(edge->Status().open_holds == 2);
              hold.Close();
              MUST(edge->Status().open_holds == 1);
            })),
            0);
}

// Nobody is left in the child who would ever return from the callback.
TEST_F(ForkTest, AChildWaitsForNoCallbackOfItsParents) {
  EXPECT_EQ(ExitOf(InChild([&] {
              std::unique_ptr<edge::Edge> edge = Started("test/parent");
              int called[2], release[2];
              MUST(pipe(called) == 0 && pipe(release) == 0);
              edge::Hold hold = edge->HoldBlocking(
                                        token_.string, edge::Requirement(),
                                        [&](edge::Reason) {
                                          char c;
                                          MUST(write(called[1], "x", 1) == 1);
                                          MUST(read(release[0], &c, 1) == 1);
                                        },
                                        kLongEnough)
                                    .second;
              std::thread stop([&] { edge->Stop(); });
              char c;
              MUST(read(called[0], &c, 1) == 1);
              MUST(ExitOf(InChild([&] {
                     alarm(20);
                     hold.Close();
                   })) == 0);
              MUST(write(release[1], "x", 1) == 1);
              stop.join();
            })),
            0);
}

// What a host relies on that is woken after a suspension, when its own threads may run before the
// edge's: nothing that was held is good without a lease. Here the edge's never run again.
TEST_F(ForkTest, NothingIsGoodWithoutALeaseBeforeAThreadOfTheEdgeHasRun) {
  constexpr std::chrono::seconds kLease(1);
  service_.Set([&](auto& script) { script.lease = absl::FromChrono(kLease); });
  RestartServer();
  int held[2], woken[2];
  ASSERT_TRUE(pipe(held) == 0 && pipe(woken) == 0);
  const pid_t host = InChild([&] {
    std::unique_ptr<edge::Edge> edge = Started("test/host");
    const edge::Hold hold =
        edge->HoldBlocking(token_.string, edge::Requirement(), nullptr, kLongEnough).second;
    MUST(hold.Good());
    char c;
    MUST(write(held[1], "x", 1) == 1);
    MUST(read(woken[0], &c, 1) == 1);
    MUST(!hold.Good());
    MUST(hold.reason() == edge::Reason::kNoLease);
    _exit(0);  // without a goodbye, for which the others would have to run
  });
  char c;
  ASSERT_EQ(read(held[0], &c, 1), 1);
  std::vector<pid_t> others;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(host) + "/task")) {
    const pid_t tid = std::stoi(task.path().filename());
    if (tid == host) continue;
    others.push_back(tid);
    ASSERT_EQ(ptrace(PTRACE_SEIZE, tid, nullptr, nullptr), 0);
    ASSERT_EQ(ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr), 0);
    ASSERT_EQ(waitpid(tid, nullptr, __WALL), tid);
  }
  // Its lease runs out meanwhile.
  std::this_thread::sleep_until(std::chrono::steady_clock::now() + kLease);
  ASSERT_EQ(write(woken[1], "x", 1), 1);
  for (const pid_t tid : others) EXPECT_EQ(waitpid(tid, nullptr, __WALL), tid);
  EXPECT_EQ(ExitOf(host), 0);
  for (const int end : {held[0], held[1], woken[0], woken[1]}) close(end);
}

TEST_F(ForkTest, AChildOfAParentWithAnEdgeIsToldToStartAfterTheFork) {
  EXPECT_EQ(ExitOf(InChild([&] {
              std::unique_ptr<edge::Edge> edge = Started("test/parent");
              edge->Stop();  // also where it runs no longer
              const auto refused = [&] {
                auto second = edge::Edge::Start(Options());
                MUST(!second.ok());
                MUST(second.error().code == edge::ErrorCode::kFailedPrecondition);
                MUST(second.error().reason == "FORKED_AFTER_START");
              };
              MUST(ExitOf(InChild([&] {
                     refused();
                     MUST(ExitOf(InChild(refused)) == 0);  // nor a grandchild
                     tollgate_edge_options options = TOLLGATE_EDGE_OPTIONS_INIT;
                     options.id = "test/c";
                     tollgate_edge* handle = nullptr;
                     MUST(tollgate_edge_start(&options, &handle, nullptr, 0) ==
                          TOLLGATE_EDGE_FAILED_PRECONDITION);
                   })) == 0);
              // The parent itself may start another.
              edge = Started("test/parent");
              MUST(edge->CheckBlocking(token_.string, edge::Requirement(), kLongEnough).admitted());
            })),
            0);
}

// Whoever got an option wrong in the parent, and was told, has not started gRPC.
TEST_F(ForkTest, AChildOfAParentWhoseStartWasRefusedMayStart) {
  const std::vector<std::function<void(edge::Options&)>> wrong = {
      [](auto& o) { o.id = ""; },
      [](auto& o) { o.drift_bound = 0.2; },
      [](auto& o) { o.cache_entries = 0; },
      [](auto& o) { o.brand = "T"; },
      [](auto& o) { o.service = "nowhere"; },
      [](auto& o) { o.service = "192.0.2.1:7411"; },  // plaintext
      [](auto& o) { o.service_ca = "/no/such/file"; },
  };
  for (size_t i = 0; i < wrong.size(); ++i) {
    EXPECT_EQ(ExitOf(InChild([&] {
                edge::Options options = Options();
                wrong[i](options);
                MUST(!edge::Edge::Start(options).ok());
                MUST(ExitOf(InChild([&] { Started("test/child").reset(); })) == 0);
              })),
              0)
        << "option " << i;
  }
}

// A host that uses gRPC by itself, and forks.
TEST_F(ForkTest, AChildOfAParentThatRunsGrpcIsToldToo) {
  EXPECT_EQ(ExitOf(InChild([&] {
              const auto channel = net::MakeChannel(net::ParseAddress(address_).value(),
                                                    grpc::InsecureChannelCredentials());
              MUST(ExitOf(InChild([&] {
                     auto started = edge::Edge::Start(Options());
                     MUST(!started.ok() && started.error().reason == "FORKED_AFTER_START");
                   })) == 0);
            })),
            0);
}

// No child of an edge's process, but a process in which an edge logs to a stderr that nobody reads.
TEST_F(ForkTest, AnEdgeWhoseLogNobodyReadsDecidesAndStops) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  for (const size_t size : {size_t{4096}, size_t{1}}) {
    const std::string dots(size, '.');
    while (write(ends[1], dots.data(), dots.size()) > 0) {
    }
  }
  fcntl(ends[1], F_SETFL, 0);
  const pid_t child = InChild([&] {
    dup2(ends[1], 2);
    edge::Options options = Options();
    options.id = "edge-1";
    auto started = edge::Edge::Start(options);
    MUST(started.ok());
    MUST((*started)->WaitUntilLive(kLongEnough));
    MUST((*started)->CheckBlocking(token_.string, edge::Requirement(), kLongEnough).admitted());
    MUST((*started)->Stop(kLongEnough));
  });
  EXPECT_EQ(ExitOf(child), 0);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace tollgate::validator
