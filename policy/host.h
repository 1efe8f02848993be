// A host as a request names it.
#ifndef TOLLGATE_POLICY_HOST_H_
#define TOLLGATE_POLICY_HOST_H_

#include <string>

#include "absl/strings/string_view.h"
#include "policy/refusal.h"

namespace tollgate::policy {

struct Host {
  std::string name;  // lower case, without a port: "api.example", "[::1]"
  int port = 0;      // 0: none was named
};

// Reads "Api.Example:8443". Refusals: HOST_MALFORMED (user information, a port that is none, other
// characters than those of a name or an address), HOST_AMBIGUOUS (a dot at the end, which only some
// programs drop).
Refused ReadHost(absl::string_view text, Host* host);

// Whether `name` is one that ReadHost could give.
bool IsHostName(absl::string_view name);

}  // namespace tollgate::policy

#endif  // TOLLGATE_POLICY_HOST_H_
