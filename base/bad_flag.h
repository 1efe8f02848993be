// The error for an option that is out of its bounds, alike in every program.
#ifndef TOLLGATE_BASE_BAD_FLAG_H_
#define TOLLGATE_BASE_BAD_FLAG_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tollgate::base {

// INVALID_ARGUMENT, reason BAD_FLAG, field `flag` (without its dashes). `what` says what is wrong
// and what to write; the message is "--flag: what".
absl::Status BadFlag(absl::string_view flag, absl::string_view what);

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_BAD_FLAG_H_
