// A request that is refused before anybody is asked about its token.
#ifndef TOLLGATE_POLICY_REFUSAL_H_
#define TOLLGATE_POLICY_REFUSAL_H_

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace tollgate::policy {

struct Refusal {
  int status = 400;               // 400, 403 or 404
  absl::string_view reason;       // stable: docs/errors.md. Lives for ever, like the next
  absl::string_view description;  // for people; tells nothing of the policy
};

// Nothing: all is well.
using Refused = absl::optional<Refusal>;

}  // namespace tollgate::policy

#endif  // TOLLGATE_POLICY_REFUSAL_H_
