// Who may speak to whom: TLS on both sides, the rule against plaintext, and the caller's name.
#ifndef TOLLGATE_NET_CREDENTIALS_H_
#define TOLLGATE_NET_CREDENTIALS_H_

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_context.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "net/address.h"

namespace tollgate::net {

// Paths of PEM files; empty: not given. They are read again every second, so certificates rotate
// without a restart. Rotate by rename(2), and best with key and chain in ONE file given as both
// paths: a key that does not match its chain makes every new handshake fail until it is mended.
struct TlsFiles {
  std::string cert;  // the chain, leaf first
  std::string key;
  // On a server: who signs clients (and a client certificate is then required of everybody).
  // On a client: who signs servers; empty: the system's roots.
  std::string ca;

  bool empty() const { return cert.empty() && key.empty() && ca.empty(); }
};

// A server's credentials: plaintext when `files` is empty; else TLS, with a client certificate
// required when `ca` is given. Errors (INVALID_ARGUMENT or FAILED_PRECONDITION, reason
// TLS_FILES_INVALID): a certificate without a key or the reverse, a file that is missing,
// unreadable or no PEM, a key that is not the certificate's. They are start-up errors: later a bad
// file fails handshakes only.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentialsFor(
    const TlsFiles& files);

// What a client demands of the server's certificate, beside a good signature.
struct ServerIdentity {
  // `spiffe://…`: the certificate's one and only URI name. Empty: the host's name is checked.
  std::string spiffe_id;
  // Empty: the host of the address. The name that the certificate must bear when spiffe_id is
  // empty.
  std::string host_name;
};

// A client's credentials: plaintext unless `use_tls` or `files` is not empty. Errors as above.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ClientCredentialsFor(
    const TlsFiles& files, bool use_tls, const ServerIdentity& server);

// How a channel behaves; the defaults are right for production.
struct ChannelOptions {
  // An HTTP/2 ping after this long without one, also without calls: finds half-open connections.
  absl::Duration keepalive_time = absl::Seconds(25);
  absl::Duration keepalive_timeout = absl::Seconds(8);
  // Reconnecting: exponential with jitter (gRPC's own) between these.
  absl::Duration min_reconnect_backoff = absl::Milliseconds(100);
  absl::Duration max_reconnect_backoff = absl::Seconds(5);
  int max_receive_bytes = 8 << 20;
  // A connection of its own, not shared with other channels of this process to the same place.
  bool own_connection = false;
};

// A channel; connects when first used. Never null. Proxies from the environment are not used.
std::shared_ptr<grpc::Channel> MakeChannel(
    const Address& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const ChannelOptions& options = ChannelOptions());

// The rule: no plaintext where other hosts can reach it, unless asked for by name.
// FAILED_PRECONDITION, reason PLAINTEXT_REFUSED, says in four lines what was refused and the three
// ways out. The message does not begin with the program's name (ReportRefusal of daemon.h puts it
// there); `program` names the socket in the advice, `listen_flag` the flag that gave the address.
absl::Status CheckPlaintextAllowed(absl::string_view program, const Address& address, bool has_tls,
                                   bool allow_plaintext,
                                   absl::string_view listen_flag = "--listen");

// Who calls, as the transport knows it: not what the call's metadata claims.
struct Caller {
  enum class Kind {
    kAnonymous,  // from another host, without a client certificate
    kLocal,      // over the loopback or a Unix socket, without a client certificate
    kSpiffe,     // a client certificate with exactly one SPIFFE id
  };
  Kind kind = Kind::kAnonymous;
  std::string id;    // kSpiffe: `spiffe://…`; kLocal: "local"; kAnonymous: ""
  std::string peer;  // gRPC's name of the peer's address, for logs
};

// UNAUTHENTICATED, reason CERTIFICATE_WITHOUT_SPIFFE_ID, for a client certificate that does not
// bear exactly one SPIFFE id (two URI names, or one that is no SPIFFE id, pass the handshake).
// Call while the RPC lives. Thread-safe.
absl::StatusOr<Caller> CallerOf(const grpc::ServerContextBase& context);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_CREDENTIALS_H_
