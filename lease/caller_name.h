// The name of a caller, by which a session is bound to that caller in the ledger and in the stored
// roster. These words never change: after an upgrade, the callers of an older roster must still
// match it.
#ifndef TOLLGATE_LEASE_CALLER_NAME_H_
#define TOLLGATE_LEASE_CALLER_NAME_H_

namespace tollgate::lease {

// A caller with a certificate is named by its one SPIFFE id (`spiffe://...`). The others:
inline constexpr char kLocalCaller[] = "local";          // on this host: loopback
inline constexpr char kUnixUserPrefix[] = "unix:";       // and the user's name, over a Unix socket
inline constexpr char kOperatorPrefix[] = "operator:";   // and the owner of the token he presents
inline constexpr char kAnonymousCaller[] = "anonymous";  // plaintext, from elsewhere

}  // namespace tollgate::lease

#endif  // TOLLGATE_LEASE_CALLER_NAME_H_
