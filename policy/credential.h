// Where a request may carry its token, and what it carries there.
#ifndef TOLLGATE_POLICY_CREDENTIAL_H_
#define TOLLGATE_POLICY_CREDENTIAL_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/secret.h"
#include "policy/refusal.h"
#include "policy/request.h"

namespace tollgate::policy {

// The places that are looked at. What stands anywhere else is no credential.
struct CredentialPlaces {
  bool bearer = false;               // Authorization: Bearer TOKEN
  bool basic = false;                // Authorization: Basic, the token as the password
  std::vector<std::string> headers;  // lower case: the token is the whole value
  std::vector<std::string> query;    // names of query parameters
};

// What was found. At most one place is named.
struct Credential {
  base::SecretBytes token;  // empty: the request carries none
  std::string header;       // where it was, in lower case; empty: not in a header
  std::string query;        // where it was; empty: not in the query
};

// A longer value cannot be a token string of any brand. One character more is kept of it, with
// which it is malformed whatever follows.
inline constexpr size_t kLongestCredential = 256;

// Finds the one credential of a request. `query` is as it was sent. Refusals:
// SEVERAL_CREDENTIALS (two places, one header twice, a list in one header), CREDENTIAL_MALFORMED
// (a place that is empty, or holds what no token string can), CREDENTIAL_AMBIGUOUS (a place that
// only some programs read as one, such as `x_api_key` for `x-api-key`).
Refused FindCredential(const CredentialPlaces& places, absl::Span<const Header> headers,
                       absl::string_view query, Credential* found);

// The places at which a request that needs no token carries one all the same, so that it can be
// taken away: headers that hold a token string of any brand, and named query parameters. What else
// stands in those headers is the service's own, and stays.
void FindStrayTokens(const CredentialPlaces& places, absl::Span<const Header> headers,
                     absl::string_view query, std::vector<std::string>* drop_headers,
                     std::vector<std::string>* drop_query);

// Whether a header that was sent reads as `name`, which is in lower case without underscores, for
// CGI and its heirs: they tell neither case, nor `_` from `-`. Allocates nothing.
bool ReadsAsHeader(absl::string_view sent, absl::string_view name);

}  // namespace tollgate::policy

#endif  // TOLLGATE_POLICY_CREDENTIAL_H_
