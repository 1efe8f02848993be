// Why a call to a peer failed, or hangs: asked once it has, off gRPC's threads.
#ifndef TOLLGATE_NET_DIAGNOSIS_H_
#define TOLLGATE_NET_DIAGNOSIS_H_

#include <grpcpp/security/credentials.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "net/address_probe.h"
#include "net/reach_fault.h"

namespace tollgate::net {

// How long a look may take: well above a handshake over an ocean, and short enough that whoever
// waits for the words still takes them for an answer.
inline constexpr absl::Duration kDiagnosisLimit = absl::Seconds(1);

// A peer, as both gRPC and a look at it need it.
struct Peer {
  ProbeTarget target;
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  ReachWords words;
};

// What keeps `peer` from being reached. `ended`: how the call ended; UNAVAILABLE where it hangs.
// Finds nothing where the peer, by now, can be reached as far as its first frame, or `interruption`
// (which may be null) broke the look off. Blocks for about `limit`. Thread-safe.
ReachFault Diagnose(const Peer& peer, const absl::Status& ended,
                    absl::Duration limit = kDiagnosisLimit,
                    const Interruption* interruption = nullptr);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_DIAGNOSIS_H_
