// The HTTP front over the wire, in front of a core whose service the test plays and a policy that
// tells what it was asked.
#include "validator/fronts/forward_auth.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "net/http_host.h"
#include "tests/unit/net/http_client.h"
#include "tests/unit/validator/fronts/played_edge.h"

namespace tollgate::validator {
namespace {

constexpr char kNginx[] =
    "X-Original-Method: POST\r\nX-Original-URI: /v1/a?b=c\r\nX-Original-Host: api.example\r\n";
constexpr char kForwarded[] =
    "X-Forwarded-Method: POST\r\nX-Forwarded-Uri: /v1/a?b=c\r\nX-Forwarded-Host: api.example\r\n";

class TestHost : public FrontHost {
 public:
  explicit TestHost(net::HttpHost* host) : host_(*host) {}
  void AddGrpcService(grpc::Service*, const std::string&) override {}
  void AddHttpHandler(const std::string& path, const net::HttpHandler& handler) override {
    host_.Handle(path, {}, handler);
  }

 private:
  net::HttpHost& host_;
};

class ForwardAuthTest : public ::testing::Test {
 protected:
  ForwardAuthTest() {
    source_.policy->judge_ = [this](const policy::Request& request, policy::Judgement* judgement) {
      absl::MutexLock lock(&mu_);
      method_ = std::string(request.method);
      host_name_ = std::string(request.host);
      target_ = std::string(request.target);
      requirement_ = std::string(request.requirement);
      headers_.clear();
      for (const auto& [name, value] : request.headers) {
        absl::StrAppend(&headers_, name, ": ", value, "\n");
      }
      ++judged_;
      if (judge_) judge_(judgement);
    };
    net::HttpHost::Options options;
    options.address = net::ParseAddress("127.0.0.1:0").value();
    host_ = net::HttpHost::Bind(std::move(options)).value();
    TestHost test_host(host_.get());
    front_.RegisterOn(&test_host);
    EXPECT_TRUE(host_->Start().ok());
  }

  std::string Ask(const std::string& line, const std::string& headers,
                  const std::string& token = "") {
    net::HttpClient client(host_->address());
    client.Send(absl::StrCat(line, " HTTP/1.1\r\nHost: tollgate\r\n", headers,
                             token.empty() ? "" : "Authorization: Bearer ", token,
                             token.empty() ? "" : "\r\n", "\r\n"));
    return client.Answer(!absl::StartsWith(line, "HEAD"));
  }
  static int StatusOf(const std::string& answer) {
    return answer.size() < 12 ? 0 : std::stoi(answer.substr(9, 3));
  }
  int judged() {
    absl::MutexLock lock(&mu_);
    return judged_;
  }
  // What the policy was asked last: "METHOD host target".
  std::string Judged() {
    absl::MutexLock lock(&mu_);
    return absl::StrCat(method_, " ", host_name_, " ", target_);
  }
  void ExpectMisled(const std::string& answer, const std::string& words) {
    EXPECT_EQ(StatusOf(answer), 500) << answer;
    EXPECT_TRUE(absl::StrContains(answer, "PROXY_MISCONFIGURED")) << answer;
    EXPECT_TRUE(absl::StrContains(answer, words)) << answer;
    EXPECT_TRUE(absl::StrContains(answer, "Cache-Control: no-store")) << answer;
  }

  absl::Mutex mu_;
  std::string method_, host_name_, target_, requirement_, headers_;
  int judged_ = 0;
  std::function<void(policy::Judgement*)> judge_;
  PlayedEdge edge_;
  PlayedPolicySource source_;
  Gate gate_{edge_.validator(), &source_, edge_.random()};
  ForwardAuthFront front_{&gate_};
  std::unique_ptr<net::HttpHost> host_;
};

TEST_F(ForwardAuthTest, NginxAsksByItsOriginalHeaders) {
  const std::string token = edge_.Mint();
  const std::string answer = Ask("GET /auth/nginx", kNginx, token);
  EXPECT_EQ(StatusOf(answer), 200) << answer;
  EXPECT_EQ(Judged(), "POST api.example /v1/a?b=c");
  EXPECT_TRUE(absl::StrContains(answer, "x-workspace: acme\r\n")) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "x-owner: team-a\r\n")) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "x-expires: \r\n")) << "empty, and there: " << answer;
  EXPECT_TRUE(absl::StrContains(answer, "authorization: \r\n")) << "taken away: " << answer;
  EXPECT_TRUE(absl::StrContains(answer, "Content-Length: 0\r\n")) << answer;
  EXPECT_FALSE(absl::StrContains(answer, token));
  EXPECT_FALSE(absl::StrContains(headers_, "X-Original")) << "not the client's: " << headers_;
  EXPECT_EQ(front_.totals().admitted, 1);
}

TEST_F(ForwardAuthTest, CaddyTraefikAndHaproxyAskByTheirForwardedHeaders) {
  const std::string answer = Ask("GET /auth/forwarded", kForwarded, edge_.Mint());
  EXPECT_EQ(StatusOf(answer), 200) << answer;
  EXPECT_EQ(Judged(), "POST api.example /v1/a?b=c");
}

TEST_F(ForwardAuthTest, ARequestItselfIsAskedAboutAsItIs) {
  const std::string token = edge_.Mint();
  EXPECT_EQ(StatusOf(Ask("DELETE /auth/request/v1/a?b=/auth/nginx", "", token)), 200);
  EXPECT_EQ(Judged(), "DELETE tollgate /v1/a?b=/auth/nginx");
  EXPECT_EQ(StatusOf(Ask("HEAD /auth/request/", "", token)), 200);
  EXPECT_EQ(Judged(), "HEAD tollgate /");
  // What means something elsewhere means nothing here, and nothing is made of the path.
  EXPECT_EQ(StatusOf(Ask("GET /auth/request//../nginx/%2e%2e;x", kNginx, token)), 200);
  EXPECT_EQ(Judged(), "GET tollgate //../nginx/%2e%2e;x");
  EXPECT_EQ(StatusOf(Ask("GET /auth/request/auth/require/weak/request/x", "", token)), 200);
  EXPECT_EQ(Judged(), "GET tollgate /auth/require/weak/request/x");
  EXPECT_EQ(requirement_, "");
}

TEST_F(ForwardAuthTest, OtherConventionsHeadersAreTheClients) {
  const std::string token = edge_.Mint();
  const std::string forged =
      "X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /public\r\nX-Forwarded-Host: evil.example\r\n"
      "X-Original-Url: /public\r\nX-Rewrite-Url: /public\r\nX_Original_URI: /public\r\n"
      "X-HTTP-Method-Override: GET\r\n";
  EXPECT_EQ(StatusOf(Ask("GET /auth/nginx", kNginx + forged, token)), 200);
  EXPECT_EQ(Judged(), "POST api.example /v1/a?b=c");
  EXPECT_TRUE(absl::StrContains(headers_, "X-Forwarded-Uri: /public"));
  const std::string forged_for_the_other =
      "X-Original-Method: GET\r\nX-Original-URI: /public\r\nX-Original-Host: evil.example\r\n";
  EXPECT_EQ(StatusOf(Ask("GET /auth/forwarded", kForwarded + forged_for_the_other, token)), 200);
  EXPECT_EQ(Judged(), "POST api.example /v1/a?b=c");
  EXPECT_EQ(StatusOf(Ask("GET /auth/request/x", kForwarded + forged_for_the_other, token)), 200);
  EXPECT_EQ(Judged(), "GET tollgate /x");
}

TEST_F(ForwardAuthTest, WithoutItsHeadersNothingIsJudged) {
  const std::string token = edge_.Mint();
  const std::pair<std::string, std::vector<std::string>> conventions[] = {
      {"nginx", {"X-Original-Method", "X-Original-URI", "X-Original-Host"}},
      {"forwarded", {"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host"}}};
  int refused = 0;
  for (const auto& [name, needed] : conventions) {
    for (const std::string& wrong : needed) {
      std::string missing, empty, twice;
      for (const std::string& header : needed) {
        const std::string line = absl::StrCat(header, ": /x\r\n");
        if (header != wrong) absl::StrAppend(&missing, line);
        absl::StrAppend(&empty, header == wrong ? absl::StrCat(header, ": \r\n") : line);
        absl::StrAppend(&twice, line, header == wrong ? line : "");
      }
      const std::string question = absl::StrCat("GET /auth/", name);
      ExpectMisled(Ask(question, missing, token), absl::StrCat("has no ", wrong));
      const std::string of_empty = Ask(question, empty, token);
      if (absl::EndsWith(wrong, "-Host")) {
        EXPECT_TRUE(absl::StrContains(of_empty, "HOST_MISSING"))
            << "the client's fault " << of_empty;
      } else {
        ExpectMisled(of_empty, absl::StrCat("has an empty ", wrong));
      }
      ExpectMisled(Ask(question, twice, token), absl::StrCat("has more than one ", wrong));
      refused += 3;
    }
  }
  EXPECT_EQ(judged(), 0);
  EXPECT_EQ(front_.totals().refused, refused);
  EXPECT_EQ(front_.totals().admitted, 0);
}

TEST_F(ForwardAuthTest, WhatIsNoQuestionIsRefused) {
  const std::string token = edge_.Mint();
  for (const char* path :
       {"/auth/", "/auth/nginx/", "/auth/nginx/x", "/auth/NGINX", "/auth/%6eginx", "/auth/request",
        "/auth/request?x", "/auth//nginx", "/auth/require/", "/auth/require//nginx",
        "/auth/require/nginx", "/auth/require/a/b/nginx", "http://tollgate/auth/nginx",
        "http://tollgate/auth/request/x"}) {
    ExpectMisled(Ask(absl::StrCat("GET ", path), kNginx, token), "no question has this path");
  }
  EXPECT_EQ(StatusOf(Ask("GET /other", kNginx, token)), 404);
  EXPECT_EQ(StatusOf(Ask("GET /", kNginx, token)), 404);
  EXPECT_EQ(judged(), 0);
}

TEST_F(ForwardAuthTest, ARequirementIsNamedByTheProxysConfigurationAlone) {
  const std::string token = edge_.Mint();
  EXPECT_EQ(StatusOf(Ask("GET /auth/require/deploy/nginx", kNginx, token)), 200);
  EXPECT_EQ(requirement_, "deploy");
  EXPECT_EQ(Judged(), "POST api.example /v1/a?b=c");
  EXPECT_EQ(StatusOf(Ask("GET /auth/require/deploy/request/v1", "", token)), 200);
  EXPECT_EQ(requirement_, "deploy");
  EXPECT_EQ(Judged(), "GET tollgate /v1");
  // A proxy may put the client's query behind the question's path.
  EXPECT_EQ(StatusOf(Ask("GET /auth/forwarded?requirement=weak&/../require/weak/forwarded",
                         kForwarded, token)),
            200);
  EXPECT_EQ(requirement_, "");
}

TEST_F(ForwardAuthTest, WhoeverNamesNoHostIsAccusedAndNotTheProxy) {
  const std::string token = edge_.Mint();
  const std::string asked = "X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /v1\r\n";
  std::string answer = Ask("GET /auth/forwarded", asked + "X-Forwarded-Host:\r\n", token);
  EXPECT_EQ(StatusOf(answer), 400) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "HOST_MISSING")) << answer;
  EXPECT_FALSE(absl::StrContains(answer, "proxy")) << answer;
  ExpectMisled(Ask("GET /auth/forwarded", asked, token),
               "and to refuse a client that names no host");
  net::HttpClient old(host_->address());
  old.Send(
      absl::StrCat("GET /auth/request/v1 HTTP/1.0\r\nAuthorization: Bearer ", token, "\r\n\r\n"));
  answer = old.Answer();
  EXPECT_EQ(StatusOf(answer), 400) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "HOST_MISSING")) << answer;
  EXPECT_EQ(judged(), 0);
}

TEST_F(ForwardAuthTest, OptionsMayAskAboutTheServerItself) {
  EXPECT_EQ(StatusOf(Ask("OPTIONS /auth/request*", "", edge_.Mint())), 200);
  EXPECT_EQ(Judged(), "OPTIONS tollgate *");
  ExpectMisled(Ask("OPTIONS /auth/request", ""), "no question has this path");
}

TEST_F(ForwardAuthTest, SuccessIs200AndNginxGetsTheRefusalsThatItKnows) {
  judge_ = [](policy::Judgement* judgement) {
    judgement->kind = policy::Judgement::Kind::kRefused;
    judgement->status = 400;
    judgement->reason = "PATH_AMBIGUOUS";
    judgement->description = "the path can be read in two ways";
  };
  std::string answer = Ask("GET /auth/nginx", kNginx);
  EXPECT_EQ(StatusOf(answer), 403) << "nginx makes everything but 401 and 403 an error of its own";
  EXPECT_TRUE(absl::StrContains(answer, "Tollgate-Status: 400\r\n")) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "Tollgate-Reason: PATH_AMBIGUOUS\r\n")) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "Content-Type: application/problem+json\r\n")) << answer;
  answer = Ask("GET /auth/forwarded", kForwarded);
  EXPECT_EQ(StatusOf(answer), 400);
  EXPECT_FALSE(absl::StrContains(answer, "Tollgate-Status")) << answer;
  judge_ = nullptr;
  answer = Ask("GET /auth/nginx", kNginx);
  EXPECT_EQ(StatusOf(answer), 401);
  EXPECT_TRUE(absl::StrContains(answer, "WWW-Authenticate: Bearer realm=\"acme\"\r\n")) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "Tollgate-Status: 401\r\n")) << answer;
}

TEST_F(ForwardAuthTest, AServiceThatIsAskedHoldsUpNoOther) {
  const std::string known = edge_.Mint();
  EXPECT_EQ(StatusOf(Ask("GET /auth/nginx", kNginx, known)), 200);
  edge_.Hold();
  net::HttpClient waits(host_->address());
  waits.Send(absl::StrCat("GET /auth/nginx HTTP/1.1\r\nHost: tollgate\r\n", kNginx,
                          "Authorization: Bearer ", edge_.Mint(), "\r\n\r\n"));
  EXPECT_EQ(StatusOf(Ask("GET /auth/nginx", kNginx, known)), 200);
  edge_.AnswerAll();
  EXPECT_EQ(StatusOf(waits.Answer()), 200);
}

TEST_F(ForwardAuthTest, AConnectionThatIsKeptIsJudgedForEachRequest) {
  const std::string token = edge_.Mint();
  net::HttpClient client(host_->address());
  const std::string question = absl::StrCat("GET /auth/nginx HTTP/1.1\r\nHost: tollgate\r\n",
                                            kNginx, "Authorization: Bearer ", token, "\r\n\r\n");
  for (int i = 0; i < 3; ++i) {
    client.Send(question);
    EXPECT_EQ(StatusOf(client.Answer()), 200);
  }
  edge_.Revoke(token);
  client.Send(question);
  const std::string answer = client.Answer();
  EXPECT_EQ(StatusOf(answer), 401);
  EXPECT_TRUE(absl::StrContains(answer, "\"reason\":\"REVOKED\"")) << answer;
}

TEST_F(ForwardAuthTest, ATokenInTheQueryIsRefusedSinceItWouldGoOn) {
  judge_ = [](policy::Judgement* judgement) { judgement->drop_query = {"key"}; };
  const std::string answer = Ask("GET /auth/forwarded", kForwarded, edge_.Mint());
  EXPECT_EQ(StatusOf(answer), 400);
  EXPECT_TRUE(absl::StrContains(answer, "CREDENTIAL_IN_QUERY")) << answer;
  EXPECT_EQ(front_.totals().admitted, 0);
  // Of a token that is no good, that is what is said.
  EXPECT_EQ(StatusOf(Ask("GET /auth/forwarded", kForwarded, "tgw_no")), 401);
}

TEST_F(ForwardAuthTest, AHeaderThatNoProxyIsSetUpToTakeAwayIsRefused) {
  for (const char* name : {"x_tollgate_owner", "x-tollgate-admin"}) {
    judge_ = [name](policy::Judgement* judgement) {
      judgement->drop_headers = {"x-tollgate-owner", name};
    };
    const std::string answer = Ask("GET /auth/forwarded", kForwarded, edge_.Mint());
    EXPECT_EQ(StatusOf(answer), 400) << name;
    EXPECT_TRUE(absl::StrContains(answer, "HEADER_AMBIGUOUS")) << answer;
  }
}

TEST_F(ForwardAuthTest, ABodyIsNotTaken) {
  EXPECT_EQ(StatusOf(Ask("POST /auth/nginx", absl::StrCat(kNginx, "Content-Length: 3\r\n"))), 413);
  EXPECT_EQ(StatusOf(Ask("POST /auth/request/x", "Transfer-Encoding: chunked\r\n")), 413);
  EXPECT_EQ(StatusOf(Ask("POST /auth/request/x", "Content-Length: 0\r\n", edge_.Mint())), 200);
}

}  // namespace
}  // namespace tollgate::validator
