// How a caller is named where a session is bound to it: in the ledger and in the stored roster. The
// words never change, for an older roster must still be met by its own callers.
#ifndef TOLLGATE_LEASE_CALLER_NAME_H_
#define TOLLGATE_LEASE_CALLER_NAME_H_

namespace tollgate::lease {

// A caller with a certificate is named by its one SPIFFE id (`spiffe://...`); the others are:
inline constexpr char kLocalCaller[] = "local";          // on this host: loopback, Unix socket
inline constexpr char kAnonymousCaller[] = "anonymous";  // plaintext, from elsewhere

}  // namespace tollgate::lease

#endif  // TOLLGATE_LEASE_CALLER_NAME_H_
