#include "net/http_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace tollgate::net {
namespace {

using State = HttpParser::State;
using testing::HasSubstr;

// Gives the parser `text`, `step` bytes at a time, until it wants no more; what is left is cut off
// `*text`.
State Feed(HttpParser& parser, absl::string_view* text, size_t step) {
  State state = State::kNeedMore;
  while (!text->empty() && state == State::kNeedMore) {
    const absl::Span<char> room = parser.Room();
    const size_t n = std::min({step, room.size(), text->size()});
    EXPECT_GT(room.size(), 0u);
    std::copy_n(text->data(), n, room.data());
    text->remove_prefix(n);
    state = parser.Took(n);
  }
  return state;
}
State Feed(HttpParser& parser, absl::string_view text, size_t step = 1 << 20) {
  return Feed(parser, &text, step);
}

// The status with which `text` is refused, however it is cut; 0 where it is not.
int Refused(absl::string_view text, const HttpRequestLimits& limits = {}) {
  std::vector<int> statuses;
  for (const size_t step : {size_t{1}, size_t{7}, size_t{1} << 20}) {
    HttpParser parser(limits);
    const State state = Feed(parser, text, step);
    statuses.push_back(state == State::kRefused ? parser.refusal().status : 0);
    if (state == State::kRefused) {
      EXPECT_THAT(parser.refusal().body, HasSubstr(absl::StrCat(statuses.back())));
    }
  }
  EXPECT_EQ(statuses[0], statuses[1]) << text;
  EXPECT_EQ(statuses[0], statuses[2]) << text;
  return statuses[0];
}

TEST(HttpParser, ReadsARequestHoweverItIsCut) {
  constexpr absl::string_view kText =
      "GET /a/b?c=d HTTP/1.1\r\nHost: x\r\nX-Empty:\r\nx-TWICE: 1\r\nX-Twice:   2  \r\n\r\n";
  for (size_t step = 1; step <= kText.size(); ++step) {
    HttpParser parser({});
    EXPECT_TRUE(parser.between_requests());
    ASSERT_EQ(Feed(parser, kText, step), State::kRequest) << step;
    const HttpRequest& request = parser.request();
    EXPECT_EQ(request.method, "GET");
    EXPECT_EQ(request.target, "/a/b?c=d");
    EXPECT_EQ(request.path(), "/a/b");
    EXPECT_EQ(request.query(), "c=d");
    EXPECT_EQ(request.minor_version, 1);
    EXPECT_TRUE(request.keep_alive);
    EXPECT_EQ(request.headers.size(), 4u);
    EXPECT_EQ(request.Header("host"), "x");
    EXPECT_EQ(request.Header("x-empty"), "");
    EXPECT_EQ(request.Header("X-Twice"), "1");
    EXPECT_EQ(request.CountHeader("X-TWICE"), 2);
    EXPECT_EQ(request.CountHeader("absent"), 0);
    EXPECT_EQ(parser.Next(), State::kNeedMore);
    EXPECT_TRUE(parser.between_requests());
  }
}

TEST(HttpParser, KnowsWhetherTheConnectionGoesOn) {
  const auto keep_alive = [](absl::string_view text) {
    HttpParser parser({});
    EXPECT_EQ(Feed(parser, text), State::kRequest) << text;
    return parser.request().keep_alive;
  };
  EXPECT_TRUE(keep_alive("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_FALSE(keep_alive("GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n"));
  EXPECT_FALSE(keep_alive("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keep_alive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(HttpParser, ATargetHasAPathInEachOfItsForms) {
  const auto path = [](absl::string_view target) {
    HttpRequest request;
    request.target = target;
    return absl::StrCat(request.path(), " ", request.query());
  };
  EXPECT_EQ(path("/"), "/ ");
  EXPECT_EQ(path("/a?b?c"), "/a b?c");
  EXPECT_EQ(path("http://h:1/a?b"), "/a b");
  EXPECT_EQ(path("http://h"), "/ ");
  EXPECT_EQ(path("http://h?b"), "/ b");
  EXPECT_EQ(path("*"), "* ");
  EXPECT_EQ(path("/a://b"), "/a://b ");
}

TEST(HttpParser, WhatIsSentAheadIsKeptInOrder) {
  HttpParser parser({});
  std::string text;
  for (int i = 0; i < 5; ++i) absl::StrAppend(&text, "GET /", i, " HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_EQ(Feed(parser, text + "GET /last"), State::kRequest);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(parser.request().target, absl::StrCat("/", i));
    EXPECT_EQ(parser.Next(), i < 4 ? State::kRequest : State::kNeedMore);
  }
  EXPECT_FALSE(parser.between_requests());
  ASSERT_EQ(Feed(parser, " HTTP/1.1\r\nHost: x\r\n\r\n"), State::kRequest);
  EXPECT_EQ(parser.request().target, "/last");
}

TEST(HttpParser, EmptyLinesBeforeARequestAreLetPass) {
  EXPECT_EQ(Refused("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
  HttpParser parser({});
  EXPECT_EQ(Feed(parser, "\r\n\r\n\r"), State::kNeedMore);
  EXPECT_EQ(Feed(parser, "\n"), State::kNeedMore);
  EXPECT_TRUE(parser.between_requests());
}

TEST(HttpParser, RefusesWhatIsNoRequest) {
  for (const char* text : {
           "\x16\x03\x01\x02",
           "\x80\x01garbage",
           " GET / HTTP/1.1\r\n\r\n",
           "\rGET",
           "GET / HTTP/1.1\nHost: x\n\n",
           "GET / HTTP/1.1\r\nHost: x\n\r\n",
           "GET / HTTP/1.1\rHost: x\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: x\r\n y: z\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: x\r\n\ty: z\r\n\r\n",
           "GET / HTTP/1.1\r\n Host: x\r\n\r\n",
           "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
           "GET / HTTP/1.1\r\n: x\r\nHost: x\r\n\r\n",
           "GET / HTTP/1.1\r\nHost\r\n\r\n",
           "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
           "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
           "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: x\x01\r\n\r\n",
           "GET /\r\nHost: x\r\n\r\n",
           "GET / HTTP/1.1 x\r\nHost: x\r\n\r\n",
           "GET\r\n\r\n",
           "GET / HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n",
           "GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n",
       }) {
    EXPECT_EQ(Refused(text), 400) << text;
  }
  EXPECT_EQ(Refused(absl::string_view("GET / HTTP/1.1\r\nHost: x\0\r\n\r\n", 28)), 400);
  EXPECT_EQ(Refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
  EXPECT_EQ(Refused("GET / HTTP/1.2\r\nHost: x\r\n\r\n"), 505);
}

TEST(HttpParser, BoundsTheHead) {
  HttpRequestLimits limits;
  limits.max_header_bytes = 200;
  limits.max_headers = 3;
  const std::string head = "GET / HTTP/1.1\r\nHost: x\r\nA: ";
  const std::string fits = head + std::string(200 - head.size() - 4, 'a') + "\r\n\r\n";
  ASSERT_EQ(fits.size(), 200u);
  EXPECT_EQ(Refused(fits, limits), 0);
  EXPECT_EQ(Refused(head + "a" + fits.substr(head.size()), limits), 431);
  EXPECT_EQ(Refused("GET /" + std::string(1000, 'a'), limits), 431) << "no end is in sight";
  EXPECT_EQ(Refused("GET / HTTP/1.1\r\nHost: x\r\nA: \r\nB: \r\n\r\n", limits), 0);
  EXPECT_EQ(Refused("GET / HTTP/1.1\r\nHost: x\r\nA: \r\nB: \r\nC: \r\n\r\n", limits), 431);
}

TEST(HttpParser, RefusesABodyWhereNoneIsTaken) {
  EXPECT_EQ(Refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"), 0);
  EXPECT_EQ(Refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"), 413);
  EXPECT_EQ(Refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"), 413);
  EXPECT_EQ(Refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"), 413);
  EXPECT_EQ(
      Refused("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"),
      413);
  EXPECT_EQ(Refused("GET / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n"), 417);
  EXPECT_EQ(Refused("GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n"), 0);
}

TEST(HttpParser, TakesABodyUpToItsBound) {
  HttpRequestLimits limits;
  limits.max_body_bytes = 5000;
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\n";
  for (const size_t size : {size_t{1}, size_t{100}, size_t{5000}}) {
    const std::string body(size, 'b');
    for (const size_t step : {size_t{1}, size_t{333}, size_t{1} << 20}) {
      HttpParser parser(limits);
      const std::string sent =
          absl::StrCat(head, "Content-Length: ", size, "\r\n\r\n", body, "GET /next");
      absl::string_view rest = sent;
      ASSERT_EQ(Feed(parser, &rest, step), State::kRequest);
      EXPECT_EQ(parser.request().body, body);
      EXPECT_EQ(parser.request().Header("Host"), "x");
      EXPECT_EQ(parser.Next(), State::kNeedMore);
      Feed(parser, rest);
      ASSERT_EQ(Feed(parser, " HTTP/1.1\r\nHost: x\r\n\r\n"), State::kRequest);
      EXPECT_EQ(parser.request().target, "/next");
      EXPECT_EQ(parser.request().body, "");
    }
  }
  EXPECT_EQ(Refused(head + "Content-Length: 5001\r\n\r\n", limits), 413);
  EXPECT_EQ(Refused(head + "Content-Length: 99999999999999999999\r\n\r\n", limits), 400);
  EXPECT_EQ(Refused(head + "Content-Length: -1\r\n\r\n", limits), 400);
  EXPECT_EQ(Refused(head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", limits), 400);
  EXPECT_EQ(Refused(head + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", limits), 400);
  EXPECT_EQ(Refused(head + "Content-Length: 1, 1\r\n\r\n", limits), 400);
  EXPECT_EQ(Refused(head + "Transfer-Encoding: chunked\r\n\r\n", limits), 411);
  EXPECT_EQ(Refused(head + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", limits), 400);
  EXPECT_EQ(Refused(head + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", limits), 400);
}

TEST(HttpParser, TellsOnceThatABodyIsWaitedFor) {
  HttpRequestLimits limits;
  limits.max_body_bytes = 100;
  const std::string head =
      "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 4\r\n\r\n";
  HttpParser parser(limits);
  EXPECT_EQ(Feed(parser, head), State::kContinue);
  EXPECT_EQ(Feed(parser, "ab"), State::kNeedMore);
  EXPECT_EQ(Feed(parser, "cd"), State::kRequest);
  EXPECT_EQ(parser.request().body, "abcd");
  EXPECT_EQ(parser.Next(), State::kNeedMore);
  EXPECT_EQ(Feed(parser, head + "abcd"), State::kRequest) << "nobody waits";
  HttpParser old(limits);
  EXPECT_EQ(Feed(old, "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
            State::kNeedMore)
      << "HTTP/1.0 knows nothing of it";
}

TEST(HttpParser, WipesWhatItHasRead) {
  HttpParser parser({});
  const std::string secret =
      "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer tgw_secret\r\n\r\n";
  ASSERT_EQ(Feed(parser, secret + "GET /next"), State::kRequest);
  ASSERT_EQ(parser.Next(), State::kNeedMore);
  const absl::Span<char> room = parser.Room();
  EXPECT_GT(room.size(), secret.size());
  EXPECT_TRUE(std::all_of(room.begin(), room.end(), [](char c) { return c == '\0'; }));
}

// Bytes of every kind, in every cut: whatever they are, the parser stays within its room, and takes
// no line that a stricter neighbour would read otherwise.
TEST(HttpParser, NothingMalformedBreaksIt) {
  HttpRequestLimits limits;
  limits.max_header_bytes = 300;
  limits.max_headers = 5;
  limits.max_body_bytes = 64;
  const std::vector<std::string> good = {
      "GET /a?b HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
      "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
      "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
  };
  const std::string bytes("\r\n \t:\0,/\x7f\x80\xff;", 12);
  std::mt19937 random(20261129);
  const auto below = [&](size_t n) {
    return std::uniform_int_distribution<size_t>(0, n - 1)(random);
  };
  int requests = 0;
  int refusals = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text = good[below(good.size())] + good[below(good.size())];
    for (size_t changes = below(4); changes > 0; --changes) {
      const size_t at = below(text.size());
      switch (below(4)) {
        case 0:
          text[at] = bytes[below(bytes.size())];
          break;
        case 1:
          text.insert(at, 1, bytes[below(bytes.size())]);
          break;
        case 2:
          text.erase(at, 1 + below(8));
          break;
        default:
          text.insert(at, text.substr(below(text.size()), below(40)));
      }
      if (text.empty()) text = "x";
    }
    HttpParser parser(limits);
    absl::string_view rest = text;
    State state = State::kNeedMore;
    while (!rest.empty() && state != State::kRefused) {
      state = Feed(parser, &rest, 1 + below(40));
      while (state == State::kRequest) {
        ++requests;
        const HttpRequest& request = parser.request();
        EXPECT_LE(request.headers.size(), 5u);
        EXPECT_LE(request.body.size(), 64u);
        EXPECT_FALSE(request.method.empty());
        for (const auto& [name, value] : request.headers) {
          EXPECT_EQ(name.find_first_of("\r\n \t:"), absl::string_view::npos);
          EXPECT_EQ(value.find_first_of(absl::string_view("\r\n\0", 3)), absl::string_view::npos);
        }
        state = parser.Next();
      }
    }
    refusals += state == State::kRefused ? 1 : 0;
  }
  EXPECT_GT(requests, 1000);
  EXPECT_GT(refusals, 1000);
}

TEST(HttpResponse, NothingInAValueBeginsAnotherLine) {
  HttpResponse response;
  response.status = 302;
  response.headers.emplace_back("Location", "/a\r\nSet-Cookie: b");
  response.body = "x";
  HttpWriting how;
  how.close = true;
  how.date = "D";
  EXPECT_EQ(WriteHttpResponse(response, how),
            "HTTP/1.1 302 Found\r\nDate: D\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 1\r\nLocation: /a  Set-Cookie: b\r\nConnection: close\r\n\r\nx");
}

TEST(HttpResponse, HasNoBodyWhereNoneMayFollow) {
  HttpResponse response;
  response.body = "x";
  HttpWriting how;
  how.head = true;
  EXPECT_EQ(WriteHttpResponse(response, how),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 1\r\n\r\n");
  response.status = 204;
  EXPECT_EQ(WriteHttpResponse(response, {}), "HTTP/1.1 204 No Content\r\n\r\n");
}

}  // namespace
}  // namespace tollgate::net
