#include "net/http_host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "tests/unit/net/edge_server.h"
#include "tests/unit/net/http_client.h"

namespace tollgate::net {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

HttpResponse Text(std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  return response;
}

// Keeps exchanges that a handler was given, to be answered elsewhere and later.
class Kept {
 public:
  HttpHandler handler() {
    return [this](HttpExchange exchange) {
      absl::MutexLock lock(&mu_);
      kept_.push_back(std::move(exchange));
    };
  }
  HttpExchange Take() {
    absl::MutexLock lock(&mu_);
    const auto any = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !kept_.empty(); };
    EXPECT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&any), kTestPatience));
    HttpExchange exchange = std::move(kept_.front());
    kept_.erase(kept_.begin());
    return exchange;
  }

 private:
  absl::Mutex mu_;
  std::vector<HttpExchange> kept_ ABSL_GUARDED_BY(mu_);
};

class HttpHostTest : public testing::Test {
 protected:
  void Serve(const HttpLimits& limits = {}, const std::string& listen = "127.0.0.1:0") {
    HttpHost::Options options;
    options.address = ParseAddress(listen).value();
    options.limits = limits;
    auto host = HttpHost::Bind(std::move(options));
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
    host_->Handle("/hello", {"GET"}, [](HttpExchange exchange) {
      exchange.Answer(Text(absl::StrCat("hello ", exchange.request().query())));
    });
    host_->Handle("/echo", {"POST"}, [](HttpExchange exchange) {
      exchange.Answer(Text(std::string(exchange.request().body)));
    });
    host_->Handle("/below/", {}, [](HttpExchange exchange) {
      exchange.Answer(Text(std::string(exchange.request().method)));
    });
    host_->Handle("/large", {"GET"}, [](HttpExchange exchange) {
      exchange.Answer(Text(std::string(size_t{32} << 20, 'x')));
    });
    host_->Handle("/kept", {"GET"}, kept_.handler());
    ASSERT_TRUE(host_->Start().ok());
  }
  const Address& address() const { return host_->address(); }
  // Waits until the counters say so.
  bool Await(const std::function<bool(const HttpHost::Stats&)>& is_so) {
    const absl::Time until = absl::Now() + kTestPatience;
    while (!is_so(host_->stats())) {
      if (absl::Now() > until) return false;
      absl::SleepFor(absl::Milliseconds(1));
    }
    return true;
  }

  Kept kept_;  // outlives the host
  std::unique_ptr<HttpHost> host_;
};

TEST_F(HttpHostTest, AnswersOneAfterTheOtherOnOneConnection) {
  Serve();
  HttpClient client(address());
  for (int i = 0; i < 3; ++i) {
    client.Get(absl::StrCat("/hello?", i));
    const std::string answer = client.Answer();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\nDate: "));
    EXPECT_THAT(answer, HasSubstr(absl::StrCat("\r\n\r\nhello ", i)));
    EXPECT_THAT(answer, testing::Not(HasSubstr("Connection:")));
  }
  EXPECT_EQ(host_->stats().connections.accepted, 1u);
  EXPECT_EQ(host_->stats().answers.at(200), 3);
}

TEST_F(HttpHostTest, WhatIsSentAheadIsAnsweredInOrder) {
  Serve();
  HttpClient client(address());
  std::string ahead;
  for (const char* path : {"/hello?1", "/kept", "/absent", "/hello?4"}) {
    absl::StrAppend(&ahead, "GET ", path, " HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  client.Send(ahead);
  client.EndSending();  // and still gets its answers
  EXPECT_THAT(client.Answer(), HasSubstr("hello 1"));
  HttpExchange second = kept_.Take();
  EXPECT_EQ(second.request().path(), "/kept");
  std::thread([&second] { second.Answer(Text("from another thread")); }).join();
  EXPECT_THAT(client.Answer(), HasSubstr("from another thread"));
  EXPECT_THAT(client.Answer(), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(client.Answer(), HasSubstr("hello 4"));
  EXPECT_TRUE(client.IsClosed());
}

TEST_F(HttpHostTest, TellsWhatIsServedAndHow) {
  Serve();
  HttpClient client(address());
  client.Get("/favicon.ico");
  EXPECT_THAT(client.Answer(), testing::AllOf(StartsWith("HTTP/1.1 404 Not Found"),
                                              HasSubstr("/below/, /echo, /hello")));
  client.Send("DELETE /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.Answer(), testing::AllOf(StartsWith("HTTP/1.1 405 Method Not Allowed"),
                                              HasSubstr("\r\nAllow: GET, HEAD\r\n")));
  client.Get("/below");
  EXPECT_THAT(client.Answer(), StartsWith("HTTP/1.1 404"));
  for (const char* path : {"/below/", "/below/a/b?c", "http://test/below/x"}) {
    client.Send(absl::StrCat("ANY ", path, " HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_THAT(client.Answer(), HasSubstr("\r\n\r\nANY"));
  }
}

TEST_F(HttpHostTest, HeadIsGetWithoutTheBody) {
  Serve();
  HttpClient client(address());
  client.Send("HEAD /hello?x HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string head = client.Answer(/*with_body=*/false);
  EXPECT_THAT(head, HasSubstr("Content-Length: 7\r\n"));
  client.Get("/hello");
  EXPECT_THAT(client.Answer(), StartsWith("HTTP/1.1 200 OK")) << "no byte of a body was between";
}

TEST_F(HttpHostTest, AConnectionGoesOnOnlyWhereThePeerWantsIt) {
  Serve();
  HttpClient old(address());
  old.Send("GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_THAT(old.Answer(), HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_TRUE(old.IsClosed());
  HttpClient kept(address());
  kept.Send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(kept.Answer(), HasSubstr("\r\nConnection: keep-alive\r\n"));
  kept.Send("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(kept.Answer(), HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_TRUE(kept.IsClosed());
}

TEST_F(HttpHostTest, RefusesInWordsWhatIsMalformed) {
  Serve();
  const std::pair<std::string, std::string> cases[] = {
      {"\x16\x03\x01\x02\x03", "400 Bad Request: this port speaks HTTP, without TLS"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 HTTP Version Not Supported"},
      {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request: a request has exactly one Host"},
      {"GET / HTTP/1.1\nHost: x\n\n", "400 Bad Request"},
      {std::string(1000, '\xff'), "400 Bad Request"},
      {"GET /" + std::string(20000, 'a'), "431 Request Header Fields Too Large"},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" +
           std::string(100000, 'b'),
       "413 Content Too Large"},
      {"GET /hello HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n", "417 Expectation Failed"},
  };
  for (const auto& [sent, words] : cases) {
    HttpClient client(address());
    client.Send(sent);
    const std::string answer = client.Answer();
    EXPECT_THAT(answer, testing::AllOf(HasSubstr(words), HasSubstr("\r\nConnection: close\r\n")));
    client.EndSending();
    EXPECT_TRUE(client.IsClosed());
  }
}

TEST_F(HttpHostTest, TakesABodyWhereOneIsBounded) {
  HttpLimits limits;
  limits.request.max_body_bytes = 1000;
  Serve(limits);
  HttpClient client(address());
  client.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd");
  EXPECT_THAT(client.Answer(), HasSubstr("\r\n\r\nabcd"));
  client.Send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.Answer(), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("efgh");
  EXPECT_THAT(client.Answer(), HasSubstr("\r\n\r\nefgh"));
  client.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
  EXPECT_THAT(client.Answer(), StartsWith("HTTP/1.1 413"));
}

TEST_F(HttpHostTest, ARequestThatTricklesInIsCut) {
  HttpLimits limits;
  limits.request_timeout = absl::Seconds(1);  // more than a loaded machine takes to begin one
  Serve(limits);
  HttpClient silent(address());
  HttpClient slow(address());
  slow.Send("GET /hello HTTP/1.1\r\nHo");
  EXPECT_THAT(slow.Answer(), testing::AllOf(StartsWith("HTTP/1.1 408 Request Timeout"),
                                            HasSubstr("\r\nConnection: close\r\n")));
  EXPECT_TRUE(silent.IsClosed()) << "not one byte";
  EXPECT_EQ(host_->stats().cut_request, 1);
  HttpClient later(address());
  later.Get("/hello");
  EXPECT_THAT(later.Answer(), StartsWith("HTTP/1.1 200"));
  later.Send("G");  // a later request has the same time
  EXPECT_THAT(later.Answer(), StartsWith("HTTP/1.1 408"));
  EXPECT_EQ(host_->stats().cut_request, 2);
}

TEST_F(HttpHostTest, EmptyLinesBuyNoTime) {
  HttpLimits limits;
  limits.request_timeout = absl::Seconds(1);
  Serve(limits);
  HttpClient client(address());
  // Each byte comes by itself, so that the first of a line is all that is there for a while.
  bool cut = false;
  for (int i = 0; i < 400 && !cut; ++i) {
    client.Send(i % 2 == 0 ? "\r" : "\n");
    cut = client.Hears(/*milliseconds=*/20);
  }
  EXPECT_TRUE(cut);
}

TEST_F(HttpHostTest, ABodyThatTricklesInIsCut) {
  HttpLimits limits;
  limits.request.max_body_bytes = 1000;
  limits.request_timeout = absl::Seconds(1);
  Serve(limits);
  HttpClient client(address());
  client.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
  EXPECT_THAT(client.Answer(), StartsWith("HTTP/1.1 408"));
}

TEST_F(HttpHostTest, AnIdleConnectionIsClosed) {
  HttpLimits limits;
  limits.idle_timeout = absl::Milliseconds(50);
  Serve(limits);
  HttpClient client(address());
  client.Get("/hello");
  EXPECT_THAT(client.Answer(), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(client.IsClosed());
  EXPECT_EQ(host_->stats().cut_request, 0) << "which is nobody's fault";
}

TEST_F(HttpHostTest, WhoeverDoesNotReadIsCut) {
  HttpLimits limits;
  limits.write_timeout = absl::Milliseconds(100);
  Serve(limits);
  HttpClient client(address(), /*receive_buffer=*/4096);
  client.Get("/large");
  EXPECT_TRUE(Await([](const auto& stats) { return stats.cut_answer == 1; }));
  HttpClient other(address());
  other.Get("/hello");
  EXPECT_THAT(other.Answer(), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpHostTest, ALargeAnswerArrivesWhole) {
  Serve();
  HttpClient client(address());
  client.Get("/large");
  EXPECT_GT(client.Answer().size(), size_t{32} << 20);
}

TEST_F(HttpHostTest, ConnectionsAboveTheCapAreRefusedAndCounted) {
  HttpLimits limits;
  limits.max_connections = 2;
  Serve(limits);
  HttpClient first(address());
  HttpClient second(address());
  first.Get("/kept");
  HttpExchange one = kept_.Take();
  second.Get("/kept");
  HttpExchange two = kept_.Take();
  HttpClient third(address());
  third.Get("/hello");
  EXPECT_TRUE(third.IsClosed());
  EXPECT_EQ(host_->stats().connections.refused_full, 1u);
  EXPECT_EQ(host_->stats().cut_displaced, 0);
  one.Answer(Text("one"));
  two.Answer(Text("two"));
  EXPECT_THAT(first.Answer(), HasSubstr("one"));
  EXPECT_THAT(second.Answer(), HasSubstr("two"));
}

TEST_F(HttpHostTest, WhoeverWaitsLongestGivesItsPlaceToAnother) {
  HttpLimits limits;
  limits.max_connections = 3;
  Serve(limits);
  HttpClient busy(address());
  busy.Get("/kept");
  HttpExchange kept = kept_.Take();
  HttpClient first(address());
  HttpClient second(address());
  for (HttpClient* client : {&first, &second, &first}) {  // so the second waits longer
    client->Get("/hello");
    EXPECT_THAT(client->Answer(), StartsWith("HTTP/1.1 200"));
  }
  HttpClient third(address());
  third.Get("/hello");
  EXPECT_THAT(third.Answer(), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(second.IsClosed());
  EXPECT_EQ(host_->stats().cut_displaced, 1);
  first.Get("/hello");
  EXPECT_THAT(first.Answer(), StartsWith("HTTP/1.1 200"));
  kept.Answer(Text("kept"));
  EXPECT_THAT(busy.Answer(), HasSubstr("kept"));
}

TEST_F(HttpHostTest, WhoeverOnlyHoldsConnectionsKeepsNobodyFromAsking) {
  HttpLimits limits;
  limits.max_connections = 4;
  Serve(limits);
  std::vector<std::unique_ptr<HttpClient>> held;
  for (int i = 0; i < 30; ++i) {
    held.push_back(std::make_unique<HttpClient>(address()));
    if (i % 2 == 0) held.back()->Send("GET /hello HTTP/1.1\r\nHo");
    HttpClient client(address());
    client.Get("/hello");
    ASSERT_THAT(client.Answer(), StartsWith("HTTP/1.1 200")) << i;
  }
}

TEST_F(HttpHostTest, AnExchangeThatIsDroppedIsAnsweredToo) {
  Serve();
  HttpClient client(address());
  client.Get("/kept");
  {
    const HttpExchange dropped = kept_.Take();
  }
  EXPECT_THAT(client.Answer(), StartsWith("HTTP/1.1 500"));
}

TEST_F(HttpHostTest, AnAnswerToAPeerThatIsGoneHurtsNobody) {
  Serve();
  auto gone = std::make_unique<HttpClient>(address());
  gone->Get("/kept");
  HttpExchange exchange = kept_.Take();
  gone.reset();
  exchange.Answer(Text(std::string(size_t{8} << 20, 'x')));
  HttpClient client(address());
  client.Get("/hello");
  EXPECT_THAT(client.Answer(), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpHostTest, StopWaitsForAnAnswerThatIsUnderWay) {
  Serve();
  HttpClient idle(address());
  idle.Get("/hello");
  EXPECT_THAT(idle.Answer(), StartsWith("HTTP/1.1 200"));
  HttpClient client(address());
  client.Get("/kept");
  HttpExchange exchange = kept_.Take();
  std::thread stopping([this] { host_->Stop(kTestPatience); });
  EXPECT_TRUE(idle.IsClosed());
  exchange.Answer(Text("the last"));
  EXPECT_THAT(client.Answer(),
              testing::AllOf(HasSubstr("the last"), HasSubstr("\r\nConnection: close\r\n")));
  stopping.join();
  EXPECT_FALSE(HttpClient(address()).connected());
}

TEST_F(HttpHostTest, StopWaitsForNobodyWhoHasHung) {
  Serve();
  HttpClient silent(address());
  HttpClient unread(address(), 4096);
  unread.Get("/large");
  HttpClient client(address());
  client.Get("/kept");
  HttpExchange exchange = kept_.Take();
  host_->Stop(absl::Milliseconds(10));
  host_->Stop();
  EXPECT_TRUE(client.IsClosed());
  EXPECT_TRUE(silent.IsClosed());
  host_.reset();
  EXPECT_EQ(exchange.request().path(), "/kept") << "good until it is answered";
  exchange.Answer(Text("into the void"));
}

TEST_F(HttpHostTest, EndsAlsoWhereItNeverBegan) {
  HttpHost::Options options;
  options.address = ParseAddress("127.0.0.1:0").value();
  auto host = HttpHost::Bind(options);
  ASSERT_TRUE(host.ok()) << host.status();
  options.address = (*host)->address();
  EXPECT_EQ(base::ReasonOf(HttpHost::Bind(options).status()), "ADDRESS_IN_USE");
}

TEST_F(HttpHostTest, AThreadThatCannotBeHadIsAnError) {
  const pid_t child = fork();
  if (child == 0) {
    HttpHost::Options options;
    options.address = ParseAddress("127.0.0.1:0").value();
    auto host = HttpHost::Bind(options);
    // The limit is no root's.
    if (geteuid() == 0 && setuid(64997) != 0) _exit(1);
    const rlimit none = {0, 0};
    if (!host.ok() || setrlimit(RLIMIT_NPROC, &none) != 0) _exit(2);
    if (base::ReasonOf((*host)->Start()) != "TOO_FEW_THREADS") _exit(3);
    host->reset();
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(HttpHostTest, ServesAUnixSocketAndIpv6) {
  TempFolder folder;
  Serve({}, "unix:" + (folder / "h.sock"));
  struct stat file{};
  ASSERT_EQ(stat((folder / "h.sock").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 07777, 0660u);
  {
    HttpClient client(address());
    client.Get("/hello");
    EXPECT_THAT(client.Answer(), StartsWith("HTTP/1.1 200"));
  }
  host_.reset();
  EXPECT_NE(stat((folder / "h.sock").c_str(), &file), 0);
  HttpHost::Options options;
  options.address = ParseAddress("[::1]:0").value();
  if (base::ReasonOf(HttpHost::Bind(options).status()) == "ADDRESS_UNAVAILABLE") {
    GTEST_SKIP() << "this machine has no IPv6";
  }
  Serve({}, "[::1]:0");
  HttpClient client(address());
  client.Get("/hello");
  EXPECT_THAT(client.Answer(), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpHostTest, ManyAtOnceAreAllAnswered) {
  HttpLimits limits;
  limits.max_connections = 200;
  Serve(limits);
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 20; ++i) {
        HttpClient client(address());
        for (int j = 0; j < 5; ++j) {
          client.Get(absl::StrCat("/hello?", t, ".", i, ".", j));
          EXPECT_THAT(client.Answer(), HasSubstr(absl::StrCat("hello ", t, ".", i, ".", j)));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(host_->stats().answers.at(200), 8 * 20 * 5);
}

}  // namespace
}  // namespace tollgate::net
