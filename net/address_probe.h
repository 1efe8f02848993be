// A look at an address from outside gRPC, which tells neither where a connection hangs nor why a
// handshake failed: look the name up, connect, shake hands, and wait for the frame that every
// HTTP/2 server sends first. Nothing is asked of the peer, and nothing secret is sent.
#ifndef TOLLGATE_NET_ADDRESS_PROBE_H_
#define TOLLGATE_NET_ADDRESS_PROBE_H_

#include "absl/time/time.h"
#include "net/address.h"
#include "net/credentials.h"
#include "net/reach_fault.h"

namespace tollgate::net {

// Breaks off what waits on another thread. Thread-safe.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  void Interrupt();
  bool interrupted() const;
  // Readable once Interrupt was called; -1: there was no descriptor for it.
  int fd() const { return fd_; }

 private:
  const int fd_;
};

// Whom to look at, as a channel would be made.
struct ProbeTarget {
  Address address;
  TlsFiles tls;
  bool use_tls = false;  // also where tls is not empty
  ServerIdentity server;
};

// Looks, for at most `limit`. Where the name has several addresses: what was found at the one that
// got furthest. Blocks; not for gRPC's threads. `interruption` may be null. Thread-safe.
ProbeFindings ProbeAddress(const ProbeTarget& target, absl::Duration limit,
                           const Interruption* interruption = nullptr);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_ADDRESS_PROBE_H_
