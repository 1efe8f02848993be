#include "net/reach_fault.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate::net {
namespace {

using Certificate = ProbeFindings::Certificate;
using Step = ProbeFindings::Step;

// TLS alerts (RFC 8446, section 6) about the certificate of the side that gets them.
constexpr int kAlertHandshakeFailure = 40;
constexpr int kAlertBadCertificate = 42;
constexpr int kAlertCertificateUnknown = 46;
constexpr int kAlertUnknownAuthority = 48;
constexpr int kAlertDecryptError = 51;
constexpr int kAlertCertificateRequired = 116;
constexpr int kAlertNoApplicationProtocol = 120;  // no HTTP/2

std::string LooksAt(const ReachWords& words) {
  return absl::StrCat(words.address_option, " says where to look");
}

ReachFault LookUpFault(const ProbeFindings& f, const ReachWords& words) {
  return {absl::StatusCode::kUnavailable, "NAME_NOT_FOUND",
          f.timed_out ? absl::StrCat("the name ", words.address.host,
                                     " is looked up in vain: no "
                                     "answer")
                      : absl::StrCat("the name ", words.address.host, " is not found: ", f.words),
          absl::StrCat("Is it spelt right, and does this machine's resolver know it? ",
                       LooksAt(words))};
}

ReachFault ConnectFault(const ProbeFindings& f, const ReachWords& words) {
  const bool socket = words.address.is_unix();
  if (f.timed_out) {
    return {absl::StatusCode::kUnavailable, "CONNECT_TIMED_OUT",
            socket ? "the socket's listener takes no more connections"
                   : "no answer to connecting: the packets go nowhere",
            socket ? absl::StrCat("Has it hung? ", LooksAt(words))
                   : absl::StrCat("Is the machine up, and does a firewall let this through? ",
                                  LooksAt(words))};
  }
  switch (f.error) {
    case ECONNREFUSED:
      return {absl::StatusCode::kUnavailable, "CONNECTION_REFUSED",
              socket ? "connection refused: nobody listens on the socket" : "connection refused",
              absl::StrCat("Is it running there? ", LooksAt(words))};
    case ENOENT:
    case ENOTDIR:
      return {
          absl::StatusCode::kUnavailable, "SOCKET_MISSING", "there is no such socket",
          absl::StrCat("Is it running, and does its --listen name this path? ", LooksAt(words))};
    case EACCES:
    case EPERM:
      return {absl::StatusCode::kPermissionDenied, "CONNECT_DENIED",
              socket ? "permission denied on the socket" : "permission denied by this machine",
              socket ? "Run this as a user, or in a group, that the modes of the socket and of its "
                       "folders let in"
                     : "Does a local firewall forbid it?"};
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
      return {absl::StatusCode::kUnavailable, "NO_ROUTE",
              absl::StrCat("no way leads there: ", std::strerror(f.error)),
              absl::StrCat("Is this machine's network up? ", LooksAt(words))};
    default:
      return {absl::StatusCode::kUnavailable, "NOT_REACHED", std::strerror(f.error),
              LooksAt(words)};
  }
}

// Something came that is not what a gRPC server says first.
ReachFault OtherProtocol(const ProbeFindings& f, const ReachWords& words) {
  // To what it takes for HTTP/0.9, a server answers with the page alone.
  const bool http = absl::StartsWith(f.first_bytes, "HTTP/") ||
                    absl::StartsWithIgnoreCase(f.first_bytes, "<!doctype") ||
                    absl::StartsWithIgnoreCase(f.first_bytes, "<html");
  return {absl::StatusCode::kUnimplemented, kNotGrpc,
          http ? "an HTTP/1 server answers there, which does not speak gRPC"
               : "what answers there does not speak gRPC",
          absl::StrCat(words.address_option, " wants the gRPC port of ", words.peer, ": usually ",
                       words.usually)};
}

bool IsTlsRecord(absl::string_view bytes) {
  return bytes.size() >= 2 && (bytes[0] == 0x15 || bytes[0] == 0x16) && bytes[1] == 0x03;
}
// A SETTINGS frame begins with its length (three bytes), its type (4) and its flags.
bool IsHttp2Settings(absl::string_view bytes) {
  return bytes.size() >= 4 && bytes[0] == 0 && bytes[3] == 4;
}

ReachFault CertificateFault(const ProbeFindings& f, const ReachWords& words) {
  switch (f.certificate) {
    case Certificate::kUntrusted:
      return {absl::StatusCode::kFailedPrecondition, "PEER_NOT_TRUSTED",
              absl::StrCat("its certificate is not signed by the authority given (", f.words, ")"),
              absl::StrCat("Is this the right address? ", words.trust_option,
                           " says whose signature is trusted")};
    case Certificate::kNotValidNow:
      return {absl::StatusCode::kFailedPrecondition, "PEER_NOT_VALID_NOW",
              absl::StrCat("its certificate is not valid now (", f.words, ")"),
              "Renew it; if it is good, this machine's clock is wrong"};
    case Certificate::kOtherName:
      return {absl::StatusCode::kFailedPrecondition, "PEER_NAME_DIFFERS",
              absl::StrCat("its certificate bears another name: ",
                           f.certificate_names.empty() ? "none at all" : f.certificate_names),
              words.name_option.empty()
                  ? "Write the address as its certificate does"
                  : absl::StrCat("Write the address as its certificate does, or name what it bears "
                                 "with ",
                                 words.name_option)};
    case Certificate::kNotJudged:
    case Certificate::kGood:
      break;
  }
  return {};
}

ReachFault ClosedFault(const ReachWords& words) {
  return {absl::StatusCode::kUnavailable, "CONNECTION_CLOSED",
          "it closes the connection without a word",
          absl::StrCat("Is it about to stop, or at its limit of connections? ", LooksAt(words))};
}

// TLS was spoken, at kTls or beyond, and it was not to the peer's liking, or not to ours.
ReachFault TlsFault(const ProbeFindings& f, const ReachWords& words) {
  if (ReachFault fault = CertificateFault(f, words); fault.found()) return fault;
  const bool about_ours = f.alert == kAlertCertificateRequired ||
                          f.alert == kAlertUnknownAuthority || f.alert == kAlertDecryptError ||
                          (f.alert >= kAlertBadCertificate && f.alert <= kAlertCertificateUnknown);
  const bool hung_up =
      f.closed || f.error == ECONNRESET || f.error == EPIPE || f.alert == kAlertHandshakeFailure;
  if (f.certificate_wanted && (about_ours || hung_up)) {
    if (!f.certificate_given) {
      return {absl::StatusCode::kFailedPrecondition, "CERTIFICATE_WANTED",
              "it wants a client certificate, and none was given",
              absl::StrCat("Give it one: ", words.certificate_options)};
    }
    return {absl::StatusCode::kFailedPrecondition, "CERTIFICATE_REFUSED",
            absl::StrCat("it does not take this side's certificate",
                         f.words.empty() ? "" : absl::StrCat(" (", f.words, ")")),
            "Is it valid now, and signed by the authority of its --client-ca? Its log says more"};
  }
  if (IsHttp2Settings(f.first_bytes)) {
    return {absl::StatusCode::kFailedPrecondition, "TLS_NOT_SPOKEN",
            "it speaks plaintext there, and TLS was spoken to it",
            absl::StrCat("Give it a certificate, or, where no other host can listen, leave out ",
                         words.trust_option, " and its like")};
  }
  const bool not_http2 = f.alert == kAlertNoApplicationProtocol;
  if (not_http2 || (!f.first_bytes.empty() && !IsTlsRecord(f.first_bytes))) {
    return OtherProtocol(f, words);
  }
  if (f.step == Step::kGreet && hung_up) return ClosedFault(words);
  return {absl::StatusCode::kFailedPrecondition, "TLS_FAILED",
          absl::StrCat("the TLS handshake fails: ", !f.words.empty() ? f.words
                                                    : f.error != 0   ? std::strerror(f.error)
                                                    : f.closed       ? "it ends the connection"
                                                                     : "no reason is given"),
          "Does it speak TLS there? Its log says more"};
}

}  // namespace

ReachFault FaultOf(const ProbeFindings& f, const ReachWords& words) {
  if (f.interrupted || f.step == Step::kGreeted) return {};
  if (f.step == Step::kLookUp) return LookUpFault(f, words);
  if (f.step == Step::kConnect) return ConnectFault(f, words);
  if (f.timed_out) {
    return {absl::StatusCode::kUnavailable, "PEER_SILENT",
            "it takes the connection and says nothing",
            absl::StrCat("Has it hung, or is something else at this address? ", LooksAt(words))};
  }
  if (f.step == Step::kTls || f.certificate != Certificate::kNotJudged) return TlsFault(f, words);
  if (f.answers_tls || IsTlsRecord(f.first_bytes)) {
    return {absl::StatusCode::kFailedPrecondition, "TLS_WANTED",
            "it speaks TLS there, and plaintext was spoken to it",
            absl::StrCat("Give ", words.trust_option, ", and where it asks who calls, ",
                         words.certificate_options)};
  }
  if (!f.first_bytes.empty()) return OtherProtocol(f, words);
  return ClosedFault(words);
}

ReachFault FaultOfAnswer(const absl::Status& ended, const ReachWords& words) {
  if (ended.ok()) return {};
  // gRPC's own words about an HTTP/2 server that is no gRPC server, or a proxy before one.
  if (absl::StrContains(ended.message(), "Received http2 header with status")) {
    return {absl::StatusCode::kUnimplemented, kNotGrpc,
            absl::StrCat("an HTTP/2 server answers there, and not in gRPC (", ended.message(), ")"),
            absl::StrCat(words.address_option, " wants the gRPC port of ", words.peer, ": usually ",
                         words.usually)};
  }
  if (ended.code() == absl::StatusCode::kUnimplemented) return {};
  const std::string reason = base::ReasonOf(ended);
  const bool with_reason = reason != absl::StatusCodeToString(ended.code());
  switch (ended.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
      if (!with_reason) return {};  // may be the transport's
      break;
    default:
      break;
  }
  return {ended.code(), reason, absl::StrCat("it refuses ", words.asker, ": ", ended.message()),
          ""};
}

ReachFault FaultOfStranger(const Kin* kin, const ReachWords& words) {
  ReachFault fault;
  fault.code = absl::StatusCode::kUnimplemented;
  fault.reason = "NOT_TOLLGATE";
  if (kin != nullptr) fault.reason = kin->reason;
  fault.who = kin != nullptr ? kin->what : "a gRPC server that is not Tollgate's";
  fault.why = absl::StrCat("that is ", fault.who, ", not ", words.peer);
  fault.advice =
      absl::StrCat(words.address_option, " names ", words.peer, ": usually ", words.usually);
  return fault;
}

ReachFault FaultOfOldVersion() {
  return {absl::StatusCode::kUnimplemented, "METHOD_UNKNOWN",
          "it does not know this call: it is of an older version", "Bring both to one version"};
}

bool NeverSent(const absl::Status& ended) {
  return absl::StrContains(ended.message(), "failed to connect") ||
         absl::StrContains(ended.message(), "resolution failed") ||
         absl::StrContains(ended.message(), "DNS");
}

}  // namespace tollgate::net
