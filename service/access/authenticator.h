// Who calls: one answer for unary calls and streams alike.
#ifndef TOLLGATE_SERVICE_ACCESS_AUTHENTICATOR_H_
#define TOLLGATE_SERVICE_ACCESS_AUTHENTICATOR_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "net/credentials.h"
#include "service/access/operator_tokens.h"
#include "token/keyring.h"
#include "token/token_string.h"

namespace tollgate::service {

// A caller, as the service knows him.
struct Identity {
  // His name in bindings, the audit log, and as a token's `creator`: a SPIFFE id, `operator:NAME`,
  // `unix:NAME`, `local`, or `anonymous`.
  std::string actor;
  std::string origin;    // net::Caller::origin
  std::string token_id;  // of the operator token that he presented; empty: none
};

// Learns who calls, in one of three ways: by the one SPIFFE id of his certificate; by an operator
// token in the call's metadata, `authorization: Bearer tgo_…`; or by the user of this host at the
// other end of a Unix socket. Whoever calls over the loopback without any of them is `local`; from
// elsewhere, `anonymous`. Thread-safe, does no I/O, never blocks: gRPC's threads call it.
class Authenticator {
 public:
  // All outlive it.
  Authenticator(const token::TokenFormat* format, const token::Keyring* keyring,
                const OperatorTokens* tokens, const base::Clock* clock)
      : format_(format), keyring_(keyring), tokens_(tokens), clock_(clock) {}

  // `authorization`: the values of that metadata, untrusted; no copy of them is kept.
  // UNAUTHENTICATED: CREDENTIALS_AMBIGUOUS (two values, or an operator token beside a certificate:
  // whose call it is must not be a matter of order; beside a certificate anything else is somebody
  // else's, and says nothing), OPERATOR_TOKEN_IN_PLAINTEXT (from another host, in the clear: the
  // token has leaked), CREDENTIALS_MALFORMED, NOT_AN_OPERATOR_TOKEN, OPERATOR_TOKEN_UNKNOWN,
  // OPERATOR_TOKEN_NOT_ACTIVE. Who presents a token is known by it or not at all, never by where he
  // calls from.
  absl::StatusOr<Identity> Identify(const net::Caller& caller,
                                    const std::vector<absl::string_view>& authorization) const;

  // Whether he still is who he was: OK; or UNAUTHENTICATED, where the token that he presented has
  // ended since, or was given to another. `token_id`: that token's; empty: he presented none.
  absl::Status StillStands(absl::string_view actor, absl::string_view token_id) const;

 private:
  const token::TokenFormat* const format_;
  const token::Keyring* const keyring_;
  const OperatorTokens* const tokens_;
  const base::Clock* const clock_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_ACCESS_AUTHENTICATOR_H_
