#include "net/reach_fault.h"

#include <cerrno>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "net/error.h"

namespace tollgate::net {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;
using Certificate = ProbeFindings::Certificate;
using Step = ProbeFindings::Step;

ReachWords Words(const std::string& address = "127.0.0.1:7411") {
  ReachWords words;
  words.address = ParseAddress(address).value();
  words.peer = "the service";
  words.asker = "this validator";
  words.usually = "localhost:7411";
  words.address_option = "--service";
  words.trust_option = "--service-ca FILE";
  words.certificate_options = "--service-cert FILE --service-key FILE";
  words.name_option = "--service-host-name";
  words.kin = {{"x.Validation", "IS_A_VALIDATOR", "a validator"}};
  return words;
}

struct Case {
  std::string name;
  std::string address;
  std::function<void(ProbeFindings*)> found;
  StatusCode code;
  std::string reason, why, advice;
};

class FindingsTest : public ::testing::TestWithParam<Case> {};

TEST_P(FindingsTest, HaveTheirOwnWords) {
  ProbeFindings findings;
  GetParam().found(&findings);
  const ReachFault fault = FaultOf(findings, Words(GetParam().address));
  EXPECT_EQ(fault.code, GetParam().code);
  EXPECT_EQ(fault.reason, GetParam().reason);
  EXPECT_THAT(fault.why, HasSubstr(GetParam().why));
  EXPECT_THAT(fault.advice, HasSubstr(GetParam().advice));
}

std::function<void(ProbeFindings*)> Connect(int error) {
  return [error](ProbeFindings* f) {
    f->step = Step::kConnect;
    f->error = error;
  };
}
// A handshake that the peer's certificate ended.
std::function<void(ProbeFindings*)> Judged(Certificate certificate) {
  return [certificate](ProbeFindings* f) {
    f->step = Step::kTls;
    f->certificate = certificate;
    f->words = "openssl's words";
    f->certificate_names = "a.example, spiffe://x/y";
  };
}
// The peer hung up once TLS was agreed (TLS 1.3), or sent an alert.
std::function<void(ProbeFindings*)> Ours(bool wanted, bool given, int alert) {
  return [=](ProbeFindings* f) {
    f->step = Step::kGreet;
    f->certificate = Certificate::kGood;
    f->certificate_wanted = wanted;
    f->certificate_given = given;
    f->alert = alert;
    f->closed = alert == 0;
  };
}
std::function<void(ProbeFindings*)> Said(const std::string& bytes, Step step = Step::kGreet) {
  return [=](ProbeFindings* f) {
    f->step = step;
    f->first_bytes = bytes;
  };
}
const std::string kSettings("\0\0\6\4\0\0\0\0\0", 9);
const std::string kAlert("\x15\3\1\0\2\2\x46", 7);

const Case kCases[] = {
    {"UnknownName", "db.example:1", [](ProbeFindings* f) { f->words = "Name not known"; },
     StatusCode::kUnavailable, "NAME_NOT_FOUND", "db.example is not found: Name not known",
     "resolver"},
    {"SilentResolver", "db.example:1", [](ProbeFindings* f) { f->timed_out = true; },
     StatusCode::kUnavailable, "NAME_NOT_FOUND", "no answer", "resolver"},
    {"Refused", "127.0.0.1:1", Connect(ECONNREFUSED), StatusCode::kUnavailable,
     "CONNECTION_REFUSED", "connection refused", "Is it running there? --service says"},
    {"Deserted", "unix:/x", Connect(ECONNREFUSED), StatusCode::kUnavailable, "CONNECTION_REFUSED",
     "nobody listens on the socket", "Is it running"},
    {"Missing", "unix:/x", Connect(ENOENT), StatusCode::kUnavailable, "SOCKET_MISSING",
     "no such socket", "--listen"},
    {"MissingFolder", "unix:/x", Connect(ENOTDIR), StatusCode::kUnavailable, "SOCKET_MISSING",
     "no such socket", "--listen"},
    {"Denied", "unix:/x", Connect(EACCES), StatusCode::kPermissionDenied, "CONNECT_DENIED",
     "permission denied on the socket", "in a group"},
    {"DeniedByThisHost", "127.0.0.1:1", Connect(EPERM), StatusCode::kPermissionDenied,
     "CONNECT_DENIED", "permission denied", "firewall"},
    {"NoRoute", "10.0.0.1:1", Connect(EHOSTUNREACH), StatusCode::kUnavailable, "NO_ROUTE",
     "No route to host", "network"},
    {"Dropped", "10.0.0.1:1",
     [](ProbeFindings* f) {
       f->step = Step::kConnect;
       f->timed_out = true;
     },
     StatusCode::kUnavailable, "CONNECT_TIMED_OUT", "the packets go nowhere", "firewall"},
    {"FullBacklog", "unix:/x",
     [](ProbeFindings* f) {
       f->step = Step::kConnect;
       f->timed_out = true;
     },
     StatusCode::kUnavailable, "CONNECT_TIMED_OUT", "no more connections", "hung"},
    {"OtherErrno", "127.0.0.1:1", Connect(ENOBUFS), StatusCode::kUnavailable, "NOT_REACHED",
     "No buffer space", "--service"},
    {"Silent", "127.0.0.1:1",
     [](ProbeFindings* f) {
       f->step = Step::kGreet;
       f->timed_out = true;
     },
     StatusCode::kUnavailable, "PEER_SILENT", "says nothing", "hung"},
    {"SilentInTls", "127.0.0.1:1",
     [](ProbeFindings* f) {
       f->step = Step::kTls;
       f->timed_out = true;
     },
     StatusCode::kUnavailable, "PEER_SILENT", "says nothing", "hung"},
    {"HangsUp", "127.0.0.1:1",
     [](ProbeFindings* f) {
       f->step = Step::kGreet;
       f->closed = true;
     },
     StatusCode::kUnavailable, "CONNECTION_CLOSED", "without a word", "limit"},
    {"HangsUpAfterTls", "127.0.0.1:1", Ours(false, false, 0), StatusCode::kUnavailable,
     "CONNECTION_CLOSED", "without a word", "limit"},
    {"Http", "127.0.0.1:1", Said("HTTP/1.1 400 Bad"), StatusCode::kUnimplemented, "NOT_GRPC",
     "an HTTP/1 server", "--service wants the gRPC port of the service: usually localhost:7411"},
    {"HttpPage", "127.0.0.1:1", Said("<!DOCTYPE HTML P"), StatusCode::kUnimplemented, "NOT_GRPC",
     "an HTTP/1 server", "gRPC port"},
    {"HttpToTls", "127.0.0.1:1", Said("HTTP/1.1 400 Bad", Step::kTls), StatusCode::kUnimplemented,
     "NOT_GRPC", "an HTTP/1 server", "gRPC port"},
    {"NoHttp2InTls", "127.0.0.1:1",
     [](ProbeFindings* f) {
       f->step = Step::kTls;
       f->alert = 120;
     },
     StatusCode::kUnimplemented, "NOT_GRPC", "does not speak gRPC", "gRPC port"},
    {"Ssh", "127.0.0.1:1", Said("SSH-2.0-OpenSSH"), StatusCode::kUnimplemented, "NOT_GRPC",
     "does not speak gRPC", "gRPC port"},
    {"TlsAlertToPlaintext", "127.0.0.1:1", Said(kAlert), StatusCode::kFailedPrecondition,
     "TLS_WANTED", "it speaks TLS there", "Give --service-ca FILE, and where it asks who calls"},
    {"TlsHangsUpOnPlaintext", "127.0.0.1:1",
     [](ProbeFindings* f) {
       f->step = Step::kGreet;
       f->closed = true;
       f->answers_tls = true;
     },
     StatusCode::kFailedPrecondition, "TLS_WANTED", "it speaks TLS there", "--service-ca FILE"},
    {"PlaintextToTls", "127.0.0.1:1", Said(kSettings, Step::kTls), StatusCode::kFailedPrecondition,
     "TLS_NOT_SPOKEN", "it speaks plaintext there", "leave out --service-ca FILE"},
    {"Untrusted", "127.0.0.1:1", Judged(Certificate::kUntrusted), StatusCode::kFailedPrecondition,
     "PEER_NOT_TRUSTED", "not signed by the authority given (openssl's words)",
     "--service-ca FILE says"},
    {"Expired", "127.0.0.1:1", Judged(Certificate::kNotValidNow), StatusCode::kFailedPrecondition,
     "PEER_NOT_VALID_NOW", "openssl's words", "clock"},
    {"OtherName", "127.0.0.1:1", Judged(Certificate::kOtherName), StatusCode::kFailedPrecondition,
     "PEER_NAME_DIFFERS", "bears another name: a.example, spiffe://x/y", "--service-host-name"},
    {"CertificateWanted", "127.0.0.1:1", Ours(true, false, 0), StatusCode::kFailedPrecondition,
     "CERTIFICATE_WANTED", "none was given", "Give it one: --service-cert FILE"},
    {"CertificateWantedByAlert", "127.0.0.1:1", Ours(true, false, 116),
     StatusCode::kFailedPrecondition, "CERTIFICATE_WANTED", "none was given", "--service-cert"},
    {"CertificateRefused", "127.0.0.1:1", Ours(true, true, 48), StatusCode::kFailedPrecondition,
     "CERTIFICATE_REFUSED", "does not take this side's certificate", "--client-ca"},
    {"CertificateRefusedByHangingUp", "127.0.0.1:1", Ours(true, true, 0),
     StatusCode::kFailedPrecondition, "CERTIFICATE_REFUSED", "does not take", "--client-ca"},
    {"OtherTlsFailure", "127.0.0.1:1",
     [](ProbeFindings* f) {
       f->step = Step::kTls;
       f->words = "unsupported protocol";
     },
     StatusCode::kFailedPrecondition, "TLS_FAILED", "unsupported protocol", "speak TLS"},
};
INSTANTIATE_TEST_SUITE_P(All, FindingsTest, ::testing::ValuesIn(kCases),
                         [](const auto& one) { return one.param.name; });

TEST(ReachFault, NothingIsTheMatterWithWhoGreetsNorWhereTheLookWasBrokenOff) {
  ProbeFindings findings;
  findings.step = Step::kGreeted;
  EXPECT_FALSE(FaultOf(findings, Words()).found());
  findings.step = Step::kConnect;
  findings.error = ECONNREFUSED;
  findings.interrupted = true;
  EXPECT_FALSE(FaultOf(findings, Words()).found());
}

TEST(ReachFault, WhatTheTransportFailedWithTellsNothing) {
  for (const absl::Status& ended :
       {absl::OkStatus(), absl::UnavailableError("Socket closed"),
        absl::CancelledError("CANCELLED"), absl::DeadlineExceededError("Deadline Exceeded"),
        absl::UnknownError("Stream removed"), absl::InternalError("Received RST_STREAM"),
        absl::UnimplementedError("")}) {
    EXPECT_FALSE(FaultOfAnswer(ended, Words()).found()) << ended;
  }
}

TEST(ReachFault, AnAnswerIsToldInItsOwnWords) {
  const ReachFault refused = FaultOfAnswer(
      base::Refuse(StatusCode::kFailedPrecondition, "EPOCH_UNKNOWN", "never had it"), Words());
  EXPECT_EQ(refused.reason, "EPOCH_UNKNOWN");
  EXPECT_EQ(refused.why, "it refuses this validator: never had it");
  EXPECT_EQ(FaultOfAnswer(absl::PermissionDeniedError("no"), Words()).reason, "PERMISSION_DENIED");
  const ReachFault draining =
      FaultOfAnswer(base::RefuseForNow("DRAINING", "about to stop", absl::Seconds(1)), Words());
  EXPECT_EQ(draining.reason, "DRAINING");
  EXPECT_EQ(draining.code, StatusCode::kUnavailable);
}

TEST(ReachFault, AnHttp2ServerThatIsNoGrpcServer) {
  for (const absl::Status& ended :
       {absl::UnimplementedError("Received http2 header with status: 404"),
        absl::UnavailableError("Received http2 header with status: 502"),
        absl::PermissionDeniedError("Received http2 header with status: 403")}) {
    EXPECT_EQ(FaultOfAnswer(ended, Words()).reason, "NOT_GRPC") << ended;
  }
}

TEST(ReachFault, AStrangerIsNamed) {
  const ReachWords words = Words();
  const ReachFault kin = FaultOfStranger(&words.kin[0], words);
  EXPECT_EQ(kin.reason, "IS_A_VALIDATOR");
  EXPECT_EQ(kin.who, "a validator");
  EXPECT_EQ(kin.why, "that is a validator, not the service");
  EXPECT_EQ(kin.advice, "--service names the service: usually localhost:7411");
  EXPECT_EQ(FaultOfStranger(nullptr, words).reason, "NOT_TOLLGATE");
  EXPECT_EQ(FaultOfOldVersion().reason, "METHOD_UNKNOWN");
}

}  // namespace
}  // namespace tollgate::net
