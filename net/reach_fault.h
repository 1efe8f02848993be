// Why a peer cannot be reached, in words: what a look at its address found (address_probe.h), or
// what a call to it ended with, becomes a stable reason, what is the matter, and what to do. Pure.
#ifndef TOLLGATE_NET_REACH_FAULT_H_
#define TOLLGATE_NET_REACH_FAULT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "net/address.h"

namespace tollgate::net {

// What a look at an address came upon. A value.
struct ProbeFindings {
  // How far it got: where it stopped, for one of the causes below.
  enum class Step {
    kLookUp,   // of the host's name
    kConnect,  // TCP, or the Unix socket
    kTls,      // the handshake
    kGreet,    // HTTP/2's first frame, which a gRPC server sends at once
    kGreeted,  // all is well as far as that
  };
  Step step = Step::kLookUp;
  bool interrupted = false;  // the look was broken off: nothing was found

  bool timed_out = false;    // nothing came in the time given
  bool closed = false;       // the peer ended the connection
  int error = 0;             // errno, at kConnect and beyond
  std::string words;         // the resolver's or OpenSSL's, where they tell more
  std::string first_bytes;   // what came in place of what was awaited; a few bytes at most
  bool answers_tls = false;  // plaintext was closed without an answer, and a TLS hello was not

  // Of the peer's certificate: what is wrong with it.
  enum class Certificate { kNotJudged, kGood, kUntrusted, kNotValidNow, kOtherName };
  Certificate certificate = Certificate::kNotJudged;
  std::string certificate_names;  // that it bears, as in "a.example, spiffe://x/y"
  // The peer asked for a certificate of this side's.
  bool certificate_wanted = false;
  bool certificate_given = false;
  int alert = 0;  // the TLS alert that the peer sent; 0: none
};

// Another kind of server, which may stand at the address by mistake: it is known by a name that its
// grpc.health.v1 knows.
struct Kin {
  std::string health_name;
  std::string reason;  // of the fault
  std::string what;    // "a validator"
};

// Who wants to reach whom: the words differ in these only.
struct ReachWords {
  Address address;
  std::string peer;                 // "the service"
  std::string asker;                // "this validator"
  std::string usually;              // where the peer usually is
  std::string address_option;       // "--service"
  std::string trust_option;         // "--service-ca FILE": whose signature is trusted
  std::string certificate_options;  // "--service-cert FILE --service-key FILE"
  std::string name_option;          // names what the certificate bears; may be empty
  std::string health_name;          // by which the peer itself is known
  std::vector<Kin> kin;
};

// The reason where what answers does not speak gRPC.
inline constexpr char kNotGrpc[] = "NOT_GRPC";

// What keeps a peer from being reached. A value.
struct ReachFault {
  absl::StatusCode code = absl::StatusCode::kUnavailable;
  std::string reason;  // UPPER_SNAKE, stable: docs/errors.md. Empty: nothing is the matter
  std::string why;     // follows "cannot reach the service at ADDRESS: "
  std::string advice;  // one sentence without a full stop; may be empty
  std::string who;     // stands there in the peer's place, as in "a validator"; else empty

  bool found() const { return !reason.empty(); }
};

// What the findings mean. Nothing is the matter where a gRPC server greeted, or the look was broken
// off.
ReachFault FaultOf(const ProbeFindings& findings, const ReachWords& words);

// What the end of a call says by itself: the peer was reached, and it refuses, or is not what was
// looked for. Nothing, where the transport failed (only a look tells why) and for OK; nor where the
// peer does not know the method: that needs to be asked who it is, see FaultOfStranger.
ReachFault FaultOfAnswer(const absl::Status& ended, const ReachWords& words);

// The peer does not know the method. `kin`: which of words.kin it is; nullptr: another gRPC server.
ReachFault FaultOfStranger(const Kin* kin, const ReachWords& words);
// The same of the peer itself: it is of an older version.
ReachFault FaultOfOldVersion();

// Whether the words of a failed call prove that it never reached the peer.
bool NeverSent(const absl::Status& ended);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_REACH_FAULT_H_
