// HTTP over TLS: the host, and the certificates that it follows.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "net/http_host.h"
#include "net/metrics_port.h"
#include "net/tls_server.h"
#include "tests/unit/net/edge_server.h"
#include "tests/unit/net/http_client.h"
#include "tests/unit/net/pki.h"

namespace tollgate::net {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

bool AwaitThat(const std::function<bool()>& is_so) {
  const absl::Time until = absl::Now() + kTestPatience;
  while (!is_so()) {
    if (absl::Now() > until) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

struct Speaking {
  std::string cert;  // the client's, by its name in the Pki; empty: none
  int lowest = TLS1_2_VERSION;
  int highest = TLS1_3_VERSION;
  std::string protocols;  // as ALPN has them on the wire
};

// A client that trusts the Pki's authority.
class TlsClient {
 public:
  explicit TlsClient(const Address& address, const Speaking& how = {})
      : context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(address.port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience = {20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
    SSL_CTX* const raw = context_.get();
    SSL_CTX_set_security_level(raw, 0);  // so that it offers what the server is to refuse
    SSL_CTX_set_min_proto_version(raw, how.lowest);
    SSL_CTX_set_max_proto_version(raw, how.highest);
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
    EXPECT_EQ(SSL_CTX_load_verify_locations(raw, ThePki().Path("ca.pem").c_str(), nullptr), 1);
    if (!how.cert.empty()) {
      const TlsFiles files = ThePki().Files(how.cert, "");
      EXPECT_EQ(SSL_CTX_use_certificate_chain_file(raw, files.cert.c_str()), 1);
      EXPECT_EQ(SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM), 1);
    }
    ssl_ = SSL_new(raw);
    if (!how.protocols.empty()) {
      SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(how.protocols.data()),
                          static_cast<unsigned>(how.protocols.size()));
    }
    SSL_set_fd(ssl_, fd_);
    shaken_ = SSL_connect(ssl_) == 1;
  }
  ~TlsClient() {
    SSL_free(ssl_);
    close(fd_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  // As far as the client knows; a server's refusal of its certificate comes later.
  bool shaken() const { return shaken_; }
  int version() const { return SSL_version(ssl_); }
  std::string protocol() const {
    const unsigned char* chosen = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_, &chosen, &size);
    return std::string(reinterpret_cast<const char*>(chosen), size);
  }
  // The name on the server's certificate.
  std::string server() const {
    X509* const leaf = SSL_get1_peer_certificate(ssl_);
    char name[64] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, name, sizeof(name));
    X509_free(leaf);
    return name;
  }
  void Send(absl::string_view text) {
    (void)SSL_write(ssl_, text.data(), static_cast<int>(text.size()));
  }
  // The answer; empty where the server has closed instead.
  std::string Get(absl::string_view path, absl::string_view headers = "") {
    if (!shaken_) return "";
    Send(absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: test\r\n", headers, "\r\n"));
    return Answer();
  }
  std::string Answer() {
    std::string answer;
    size_t whole = std::string::npos;
    while (answer.size() < whole) {
      char buffer[65536];
      const int n = SSL_read(ssl_, buffer, sizeof(buffer));
      if (n <= 0) return "";
      answer.append(buffer, static_cast<size_t>(n));
      const size_t head = answer.find("\r\n\r\n");
      const size_t length = answer.find("Content-Length: ");
      if (whole == std::string::npos && head != std::string::npos) {
        whole = head + 4 + static_cast<size_t>(std::atoi(answer.c_str() + length + 16));
      }
    }
    return answer;
  }
  // The server says that nothing more comes, as TLS has it, so that nobody cut it short.
  bool IsEnded() {
    char byte = 0;
    return SSL_read(ssl_, &byte, 1) == 0 && SSL_get_error(ssl_, 0) == SSL_ERROR_ZERO_RETURN;
  }

 private:
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
  int fd_ = -1;
  SSL* ssl_ = nullptr;
  bool shaken_ = false;
};

class HttpTlsTest : public testing::Test {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);  // of the client's writes
    ERR_clear_error();
  }
  void Serve(const TlsFiles& files, const HttpLimits& limits = {}) {
    auto tls = TlsServer::Open(files, absl::Milliseconds(5));
    ASSERT_TRUE(tls.ok()) << tls.status();
    tls_ = *tls;
    HttpHost::Options options;
    options.address = ParseAddress("127.0.0.1:0").value();
    options.limits = limits;
    options.tls = tls_;
    auto host = HttpHost::Bind(std::move(options));
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
    host_->Handle("/hello", {"GET"}, [](HttpExchange exchange) {
      HttpResponse response;
      response.body = absl::StrCat("hello ", exchange.request().query());
      exchange.Answer(std::move(response));
    });
    host_->Handle("/large", {"GET"}, [](HttpExchange exchange) {
      HttpResponse response;
      response.body = std::string(size_t{4} << 20, 'x');
      exchange.Answer(std::move(response));
    });
    ASSERT_TRUE(host_->Start().ok());
  }
  const Address& address() const { return host_->address(); }
  // A copy of these files that may be changed.
  TlsFiles Copy(const std::string& name, const std::string& ca) {
    Put(name);
    TlsFiles files = {folder_ / "tls.pem", folder_ / "tls.pem", ""};
    if (!ca.empty()) files.ca = ThePki().Path(ca + ".pem");
    return files;
  }
  // Puts chain and key of that name there, in one file and at once.
  void Put(const std::string& name) {
    const TlsFiles from = ThePki().Files(name, "");
    {
      std::ofstream both(folder_ / "new.pem");
      both << std::ifstream(from.cert).rdbuf() << std::ifstream(from.key).rdbuf();
    }
    std::filesystem::rename(folder_ / "new.pem", folder_ / "tls.pem");
  }

  TempFolder folder_;
  std::shared_ptr<const TlsServer> tls_;
  std::unique_ptr<HttpHost> host_;
};

TEST_F(HttpTlsTest, AnswersOneAfterTheOtherAndEndsInOrder) {
  Serve(ThePki().Files("server", ""));
  TlsClient client(address(), {.protocols = "\x02h2\x08http/1.1"});
  ASSERT_TRUE(client.shaken());
  EXPECT_EQ(client.version(), TLS1_3_VERSION);
  EXPECT_EQ(client.protocol(), "http/1.1");
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(client.Get(absl::StrCat("/hello?", i)), HasSubstr(absl::StrCat("hello ", i)));
  }
  EXPECT_GT(client.Get("/large").size(), size_t{4} << 20);
  EXPECT_THAT(client.Get("/hello?last", "Connection: close\r\n"), HasSubstr("hello last"));
  EXPECT_TRUE(client.IsEnded());
  client.Send("A");  // and what is sent after it hurts nobody
  EXPECT_EQ(host_->stats().connections.accepted, 1u);
  EXPECT_EQ(host_->stats().answers.at(200), 5);
}

TEST_F(HttpTlsTest, WhatIsRefusedIsToldOverTlsToo) {
  Serve(ThePki().Files("server", ""));
  TlsClient client(address());
  client.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(client.Answer(), HasSubstr("400 Bad Request: a request has exactly one Host"));
  EXPECT_TRUE(client.IsEnded());
}

TEST_F(HttpTlsTest, OnlyTls12And13AndHttp11AreSpoken) {
  Serve(ThePki().Files("server", ""));
  TlsClient older(address(), {.highest = TLS1_2_VERSION});
  EXPECT_THAT(older.Get("/hello"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(older.version(), TLS1_2_VERSION);
  EXPECT_FALSE(TlsClient(address(), {.lowest = TLS1_VERSION, .highest = TLS1_1_VERSION}).shaken());
  EXPECT_FALSE(TlsClient(address(), {.protocols = "\x02h2"}).shaken());
  EXPECT_TRUE(AwaitThat([this] { return host_->stats().handshakes_other == 2; }));
}

TEST_F(HttpTlsTest, WithAnAuthorityEveryClientHasACertificateOfIt) {
  Serve(ThePki().Files("server", "ca"));
  EXPECT_THAT(TlsClient(address(), {.cert = "edge"}).Get("/hello"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(TlsClient(address()).Get("/hello"), "");
  EXPECT_EQ(TlsClient(address(), {.cert = "stranger"}).Get("/hello"), "");
  EXPECT_EQ(TlsClient(address(), {.highest = TLS1_2_VERSION}).Get("/hello"), "");
  EXPECT_TRUE(AwaitThat([this] { return host_->stats().handshakes_certificate == 3; }));
  EXPECT_EQ(host_->stats().answers.at(200), 1);
}

TEST_F(HttpTlsTest, PlaintextIsToldWhatThisPortSpeaks) {
  Serve(ThePki().Files("server", "ca"));
  HttpClient client(address());
  client.Get("/hello");
  EXPECT_THAT(client.Answer(), testing::AllOf(HasSubstr("400 Bad Request: this port speaks TLS"),
                                              HasSubstr("\r\nConnection: close\r\n")));
  client.EndSending();
  EXPECT_TRUE(client.IsClosed());
  EXPECT_EQ(host_->stats().handshakes_plaintext, 1);
  HttpClient garbage(address());
  garbage.Send(std::string(300, '\xff'));
  EXPECT_TRUE(AwaitThat([this] { return host_->stats().handshakes_other == 1; }));
  EXPECT_THAT(TlsClient(address(), {.cert = "edge"}).Get("/hello"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpTlsTest, AHandshakeThatDoesNotComeIsCut) {
  HttpLimits limits;
  limits.request_timeout = absl::Seconds(1);
  Serve(ThePki().Files("server", ""), limits);
  HttpClient silent(address());
  HttpClient half(address());
  half.Send(absl::string_view("\x16\x03\x01\x02\x00\x01\x00\x01", 8));
  {
    const HttpClient gone(address());
  }
  EXPECT_TRUE(silent.IsClosed());
  EXPECT_TRUE(half.IsClosed());
  EXPECT_EQ(host_->stats().cut_handshake, 2);
  EXPECT_EQ(host_->stats().cut_request, 0);
  EXPECT_EQ(host_->stats().handshakes_gone, 1);
  TlsClient slow(address());
  slow.Send("GET /hello HTTP/1.1\r\nHo");
  EXPECT_THAT(slow.Answer(), StartsWith("HTTP/1.1 408"));
  EXPECT_TRUE(slow.IsEnded());
}

TEST_F(HttpTlsTest, WhoeverHoldsHalfHandshakesKeepsNobodyFromAsking) {
  HttpLimits limits;
  limits.max_connections = 4;
  Serve(ThePki().Files("server", ""), limits);
  std::vector<std::unique_ptr<HttpClient>> held;
  for (int i = 0; i < 20; ++i) {
    held.push_back(std::make_unique<HttpClient>(address()));
    if (i % 2 == 0) held.back()->Send(absl::string_view("\x16\x03\x01\x02\x00\x01", 6));
    ASSERT_THAT(TlsClient(address()).Get("/hello"), StartsWith("HTTP/1.1 200")) << i;
  }
  host_->Stop();  // with handshakes under way
}

TEST_F(HttpTlsTest, ANewCertificateIsUsedFromTheNextConnectionOn) {
  Serve(Copy("server", "ca"));
  TlsClient former(address(), {.cert = "edge"});
  EXPECT_THAT(former.Get("/hello"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(former.server(), "server");
  Put("server-first");
  EXPECT_TRUE(AwaitThat(
      [this] { return TlsClient(address(), {.cert = "edge"}).server() == "server-first"; }));
  EXPECT_THAT(former.Get("/hello"), StartsWith("HTTP/1.1 200")) << "it goes on";
  EXPECT_GT(tls_->stats().certificate_expires, absl::Now());
}

TEST_F(HttpTlsTest, FilesThatAreNoGoodLeaveWhatIsInForce) {
  const TlsFiles files = Copy("server", "");
  Serve(files);
  const auto is_refused = [this] { return !tls_->stats().ok; };
  const auto is_taken = [this] { return tls_->stats().ok; };
  std::filesystem::remove(files.cert);
  EXPECT_TRUE(AwaitThat(is_refused));
  EXPECT_EQ(TlsClient(address()).server(), "server");
  Put("server-first");
  EXPECT_TRUE(AwaitThat(is_taken));
  {  // the key of another one
    std::ofstream both(folder_ / "new.pem");
    both << std::ifstream(ThePki().Path("server.pem")).rdbuf()
         << std::ifstream(ThePki().Path("edge.key")).rdbuf();
  }
  std::filesystem::rename(folder_ / "new.pem", files.cert);
  EXPECT_TRUE(AwaitThat(is_refused));
  EXPECT_EQ(TlsClient(address()).server(), "server-first");
  Put("server-last");
  EXPECT_TRUE(AwaitThat(is_taken));
  EXPECT_EQ(TlsClient(address()).server(), "server-last");
}

TEST_F(HttpTlsTest, MetricsAreServedWithIt) {
  auto port = MetricsPort::Start("127.0.0.1:0", ThePki().Files("server", "ca"));
  ASSERT_TRUE(port.ok()) << port.status();
  const Address& address = (*port)->address();
  EXPECT_THAT(TlsClient(address, {.cert = "edge"}).Get("/metrics"),
              testing::AllOf(StartsWith("HTTP/1.1 200 OK"),
                             HasSubstr("tollgate_http_tls_files_ok{address=\"" +
                                       address.ToString() + "\"} 1")));
  EXPECT_EQ(TlsClient(address).Get("/metrics"), "");
  HttpClient plain(address);
  plain.Get("/metrics");
  EXPECT_THAT(plain.Answer(), Not(HasSubstr("tollgate_")));
}

TEST_F(HttpTlsTest, MetricsOnAUnixSocketAreServedWithoutIt) {
  const TempFolder folder;
  auto port = MetricsPort::Start("unix:" + (folder / "metrics"), ThePki().Files("server", ""));
  ASSERT_TRUE(port.ok()) << port.status();
  HttpClient plain((*port)->address());
  plain.Get("/livez");
  EXPECT_THAT(plain.Answer(), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpTlsTest, BadFilesAreStartUpErrors) {
  const Pki& pki = ThePki();
  const std::vector<TlsFiles> bad = {
      {},
      {"", "", pki.Path("ca.pem")},
      {pki.Path("server.pem"), "", ""},
      {pki.Path("server.pem"), pki.Path("edge.key"), ""},
      {pki.Path("server.pem"), pki.Path("server.key"), pki.Path("missing.pem")},
  };
  for (const TlsFiles& files : bad) {
    EXPECT_EQ(base::ReasonOf(TlsServer::Open(files).status()), "TLS_FILES_INVALID")
        << files.cert << " " << files.key << " " << files.ca;
  }
  const absl::Status metrics = MetricsPort::Start("127.0.0.1:0", bad.back()).status();
  EXPECT_EQ(base::ReasonOf(metrics), "TLS_FILES_INVALID");
  EXPECT_THAT(std::string(metrics.message()),
              testing::AllOf(StartsWith("no metrics: "), HasSubstr("--metrics-tls-cert FILE")));
}

}  // namespace
}  // namespace tollgate::net
