// The error for an option that is out of its bounds, alike in every program.
#ifndef TOLLGATE_BASE_BAD_FLAG_H_
#define TOLLGATE_BASE_BAD_FLAG_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tollgate::base {

// INVALID_ARGUMENT, reason BAD_FLAG, field `flag` (without its dashes). `what` says what is wrong
// and what to write; the message is "--flag: what".
absl::Status BadFlag(absl::string_view flag, absl::string_view what);

// The refusal of a field (RefuseField) as that of the flag which sets it: the flag has the field's
// name, with dashes for the underscores. A status without a field is returned as it is.
absl::Status BadFlagOf(const absl::Status& refused);

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_BAD_FLAG_H_
