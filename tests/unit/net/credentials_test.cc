#include "net/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/status.h"
#include "tests/unit/net/edge_server.h"
#include "tests/unit/net/pki.h"

namespace tollgate::net {
namespace {

using testing::HasSubstr;

struct PlaintextCase {
  const char* address;
  bool has_tls;
  bool allow;
  bool ok;
};

class Plaintext : public testing::TestWithParam<PlaintextCase> {};

TEST_P(Plaintext, IsAllowedOnlyWhereItMayBe) {
  const PlaintextCase& c = GetParam();
  EXPECT_EQ(
      CheckPlaintextAllowed("tollgated", ParseAddress(c.address).value(), c.has_tls, c.allow).ok(),
      c.ok);
}

INSTANTIATE_TEST_SUITE_P(Table, Plaintext,
                         testing::Values(PlaintextCase{"0.0.0.0:7411", false, false, false},
                                         PlaintextCase{"0.0.0.0:7411", true, false, true},
                                         PlaintextCase{"0.0.0.0:7411", false, true, true},
                                         PlaintextCase{"[::]:7411", false, false, false},
                                         PlaintextCase{"10.0.0.1:7411", false, false, false},
                                         PlaintextCase{"[::ffff:10.0.0.1]:7411", false, false,
                                                       false},
                                         PlaintextCase{"somewhere:7411", false, false, false},
                                         PlaintextCase{"127.0.0.1:7411", false, false, true},
                                         PlaintextCase{"[::1]:7411", false, false, true},
                                         PlaintextCase{"localhost:7411", false, false, true},
                                         PlaintextCase{"unix:/run/x.sock", false, false, true}));

TEST(PlaintextMessage, SaysWhatWhyAndTheWaysOut) {
  const absl::Status status =
      CheckPlaintextAllowed("tollgated", ParseAddress("0.0.0.0:7411").value(), false, false);
  EXPECT_EQ(base::ReasonOf(status), "PLAINTEXT_REFUSED");
  EXPECT_EQ(
      std::string(status.message()),
      "refusing to serve plaintext on 0.0.0.0:7411, which other hosts can reach.\n"
      "  Give it a certificate:   --tls-cert FILE --tls-key FILE --client-ca FILE\n"
      "  or keep it on this host: --listen 127.0.0.1:7411 or --listen unix:/run/tollgate.sock\n"
      "  or, knowing the risk:    --allow-plaintext");
}

class Tls : public testing::Test {
 protected:
  void SetUp() override {
    edge_.on_resolve = [](std::shared_ptr<ResolveCall> call) {
      const absl::StatusOr<Caller> caller = CallerOf(call->context());
      if (!caller.ok()) return call->Fail(caller.status());
      v1::ResolveResponse response;
      response.set_epoch(caller->id);
      response.set_revision(static_cast<int>(caller->kind));
      call->Reply(response);
    };
  }
  void Serve(const TlsFiles& files) {
    auto credentials = ServerCredentialsFor(files);
    ASSERT_TRUE(credentials.ok()) << credentials.status();
    Acceptor::Options options;
    options.address = ParseAddress("127.0.0.1:0").value();
    ASSERT_TRUE(edge_.Start(options, *credentials).ok());
  }
  grpc::Status AskAs(const TlsFiles& files, const ServerIdentity& server,
                     v1::ResolveResponse* response) {
    auto credentials = ClientCredentialsFor(files, true, server);
    EXPECT_TRUE(credentials.ok()) << credentials.status();
    auto stub = edge_.Stub(*credentials);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kTestPatience));
    return stub->Resolve(&context, {}, response);
  }

  EdgeServer edge_;
  v1::ResolveResponse response_;
};

const ServerIdentity kServer{"spiffe://tollgate.test/tollgated", ""};

TEST_F(Tls, TheCallerIsItsSpiffeId) {
  Serve(ThePki().Files("server", "ca"));
  const grpc::Status status = AskAs(ThePki().Files("edge", "ca"), kServer, &response_);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response_.epoch(), "spiffe://tollgate.test/edge-1");
  EXPECT_EQ(response_.revision(), static_cast<int>(Caller::Kind::kSpiffe));
}

TEST_F(Tls, AHostNameWillDoWhereNoSpiffeIdIsAsked) {
  Serve(ThePki().Files("server", "ca"));
  EXPECT_TRUE(AskAs(ThePki().Files("edge", "ca"), {"", "tollgated.test"}, &response_).ok());
  EXPECT_FALSE(AskAs(ThePki().Files("edge", "ca"), {"", "evil.test"}, &response_).ok());
  EXPECT_FALSE(AskAs(ThePki().Files("edge", "ca"), {"", ""}, &response_).ok())
      << "127.0.0.1 is not in it";
}

TEST_F(Tls, ACertificateThatIsNobodysIsRefused) {
  Serve(ThePki().Files("server", "ca"));
  for (const char* name : {"two", "web", "nobody"}) {
    const grpc::Status status = AskAs(ThePki().Files(name, "ca"), kServer, &response_);
    EXPECT_FALSE(status.ok()) << name;
    // gRPC may refuse some of these in the handshake; what passes is refused by CallerOf.
    if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED) {
      EXPECT_EQ(base::ReasonOf(FromGrpcStatus(status)), "CERTIFICATE_WITHOUT_SPIFFE_ID") << name;
    } else {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << name;
    }
  }
}

TEST_F(Tls, StrangersDoNotReachTheService) {
  Serve(ThePki().Files("server", "ca"));
  EXPECT_FALSE(AskAs(ThePki().Files("stranger", "ca"), kServer, &response_).ok());
  EXPECT_FALSE(AskAs({"", "", ThePki().Path("ca.pem")}, kServer, &response_).ok())
      << "no certificate";
  EXPECT_FALSE(AskAs(ThePki().Files("edge", "other-ca"), kServer, &response_).ok())
      << "the client's own check";
  EXPECT_FALSE(
      AskAs(ThePki().Files("edge", "ca"), {"spiffe://tollgate.test/other", ""}, &response_).ok());
}

class AmbiguousServer : public Tls, public testing::WithParamInterface<const char*> {};

// A certificate that says two things of its bearer proves neither.
TEST_P(AmbiguousServer, IsNotTheServerThatWasMeant) {
  Serve(ThePki().Files(GetParam(), ""));
  const grpc::Status status = AskAs({"", "", ThePki().Path("ca.pem")}, kServer, &response_);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
}

INSTANTIATE_TEST_SUITE_P(Certificates, AmbiguousServer,
                         testing::Values("server-first", "server-last", "server-and-web", "edge",
                                         "web", "nobody"));

TEST_F(Tls, WithoutAClientCaNobodyIsAskedForACertificate) {
  Serve(ThePki().Files("server", ""));
  const grpc::Status status = AskAs({"", "", ThePki().Path("ca.pem")}, kServer, &response_);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response_.revision(), static_cast<int>(Caller::Kind::kLocal));
}

TEST_F(Tls, BadFilesAreStartUpErrors) {
  const Pki& pki = ThePki();
  std::ofstream(pki.Path("garbage.pem")) << "not a certificate";
  const std::vector<TlsFiles> bad = {
      {pki.Path("server.pem"), "", ""},
      {"", pki.Path("server.key"), ""},
      {"", "", pki.Path("ca.pem")},
      {pki.Path("server.pem"), pki.Path("edge.key"), ""},
      {pki.Path("garbage.pem"), pki.Path("server.key"), ""},
      {pki.Path("server.pem"), pki.Path("missing.key"), ""},
      {pki.Path("server.pem"), pki.Path("server.key"), pki.Path("garbage.pem")},
  };
  for (const TlsFiles& files : bad) {
    const auto credentials = ServerCredentialsFor(files);
    EXPECT_FALSE(credentials.ok()) << files.cert << " " << files.key << " " << files.ca;
    EXPECT_EQ(base::ReasonOf(credentials.status()), "TLS_FILES_INVALID");
  }
}

}  // namespace
}  // namespace tollgate::net
