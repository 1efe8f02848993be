// The one path that a request's target means. What two programs might read differently is refused
// instead, because the program behind the proxy gets the target as it was sent (docs/policy.md has
// the table of what is normalised and what is refused).
#ifndef TOLLGATE_POLICY_CANONICAL_PATH_H_
#define TOLLGATE_POLICY_CANONICAL_PATH_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "policy/refusal.h"

namespace tollgate::policy {

inline constexpr size_t kLongestTarget = 8192;

// A target, taken apart. Views point into what was read.
struct Target {
  bool asterisk = false;  // the `*` of OPTIONS, which is about no path; `path` is empty
  // Percent-decoded once: "/" or "/v1/items", without a slash at its end.
  std::string path;
  absl::string_view query;   // as sent, without the `?`
  absl::string_view scheme;  // "http" or "https" of an absolute form, in its own case; else empty
  absl::string_view authority;  // of an absolute form; else empty
};

// Reads a request's target: an origin form ("/a?b"), an absolute form ("http://host/a?b"), or `*`
// with the method OPTIONS. Refusals: TARGET_TOO_LONG, TARGET_MALFORMED, PATH_MALFORMED,
// PATH_AMBIGUOUS.
Refused ReadTarget(absl::string_view target, absl::string_view method, Target* read);

// Whether a decoded path is one that ReadTarget could give: what a path in a policy must be.
// Refusals: PATH_MALFORMED, PATH_AMBIGUOUS.
Refused CheckPath(absl::string_view decoded);

}  // namespace tollgate::policy

#endif  // TOLLGATE_POLICY_CANONICAL_PATH_H_
