#include "base/bad_flag.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate::base {

absl::Status BadFlag(absl::string_view flag, absl::string_view what) {
  return Refuse(absl::StatusCode::kInvalidArgument, absl::StrCat("--", flag, ": ", what),
                ErrorDetails{"BAD_FLAG", {}, {{std::string(flag), std::string(what)}}, {}});
}

}  // namespace tollgate::base
