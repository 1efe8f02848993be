// TLS on both sides, the rule against plaintext, and the caller's name.
#ifndef TOLLGATE_NET_CREDENTIALS_H_
#define TOLLGATE_NET_CREDENTIALS_H_

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_context.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/secret.h"
#include "net/address.h"
#include "net/tls_files.h"

namespace tollgate::net {

// A server's credentials: plaintext when `files` is empty; otherwise TLS, with a client certificate
// required when `ca` is given (optional with `optional_clients`). Errors (INVALID_ARGUMENT or
// FAILED_PRECONDITION, reason TLS_FILES_INVALID): a certificate without a key or the reverse; a
// file that is missing, unreadable or not PEM; a key that does not match the certificate. Only at
// the start: a file that goes bad later fails handshakes only.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentialsFor(
    const TlsFiles& files);

// What a client demands of the server's certificate, besides a valid signature.
struct ServerIdentity {
  // `spiffe://…`: the one and only URI name of the certificate. Empty: the host's name is checked.
  std::string spiffe_id;
  // The name that the certificate must bear when spiffe_id is empty. Empty: the host of the
  // address.
  std::string host_name;
};

// The names that a certificate bears, as its subjectAltName lists them.
struct CertificateNames {
  std::vector<std::string> dns, ips, uris;
};
// Whether a certificate of these names is `server`'s; `target`: the host of the address that was
// called. UNAUTHENTICATED says what was demanded.
absl::Status CheckServerNames(const CertificateNames& names, const ServerIdentity& server,
                              absl::string_view target);

// A client's credentials: plaintext unless `use_tls` is set or `files` is not empty. Errors as
// above.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ClientCredentialsFor(
    const TlsFiles& files, bool use_tls, const ServerIdentity& server);

// How a channel behaves; the defaults are right for production.
struct ChannelOptions {
  // An HTTP/2 ping after this long without one, also between calls. Finds half-open connections.
  absl::Duration keepalive_time = absl::Seconds(25);
  absl::Duration keepalive_timeout = absl::Seconds(8);
  // Reconnects with exponential backoff and jitter (gRPC's own), between these two.
  absl::Duration min_reconnect_backoff = absl::Milliseconds(100);
  absl::Duration max_reconnect_backoff = absl::Seconds(5);
  int max_receive_bytes = 8 << 20;
  // A connection that no other channel of this process to the same address shares.
  bool own_connection = false;
  // The operator token that each call brings; null: none. The address must be of this host, or the
  // credentials TLS.
  std::shared_ptr<const base::SecretBytes> token;
};

// Makes a channel, which connects when first used. Never null. Ignores proxies from the
// environment.
std::shared_ptr<grpc::Channel> MakeChannel(
    const Address& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const ChannelOptions& options = ChannelOptions());

// The rule: no plaintext where other hosts can reach it, unless asked for by name.
// FAILED_PRECONDITION, reason PLAINTEXT_REFUSED, says in four lines what was refused and the three
// ways out. The message does not begin with the program's name, which ReportRefusal of daemon.h
// prepends. In the advice `program` names the socket, and `listen_flag` is the flag that gave the
// address.
absl::Status CheckPlaintextAllowed(absl::string_view program, const Address& address, bool has_tls,
                                   bool allow_plaintext,
                                   absl::string_view listen_flag = "--listen");

// The caller, as the transport knows it; the call's metadata has no say in it.
struct Caller {
  enum class Kind {
    kAnonymous,  // from another host, without a client certificate
    kLocal,      // over the loopback or a Unix socket, without a client certificate
    kUnixUser,   // over a Unix socket whose listener tells users apart (net/user_doors.h)
    kSpiffe,     // a client certificate with exactly one SPIFFE id
  };
  Kind kind = Kind::kAnonymous;
  // kSpiffe: `spiffe://…`; kUnixUser: `unix:NAME`; kLocal: "local"; kAnonymous: "".
  std::string id;
  std::string peer;  // gRPC's name of the peer's address, for logs
  // From where: the peer's IP address without a port, or `unix`; empty: gRPC's name tells neither.
  std::string origin;
  // Nobody else can read what was sent: over TLS, or it never left this host.
  bool is_private = false;
};

// UNAUTHENTICATED, reason CERTIFICATE_WITHOUT_SPIFFE_ID: the client certificate does not bear
// exactly one SPIFFE id (a certificate with two URI names, or with one that is no SPIFFE id, passes
// the handshake). Call it while the RPC lives. Thread-safe.
absl::StatusOr<Caller> CallerOf(const grpc::ServerContextBase& context);

// The values of the call's `authorization` metadata, untrusted; they may hold secrets. Views, valid
// while the RPC lives.
std::vector<absl::string_view> AuthorizationOf(const grpc::ServerContextBase& context);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_CREDENTIALS_H_
