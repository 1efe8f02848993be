#include "base/bad_flag.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status.h"

namespace tollgate::base {

absl::Status BadFlag(absl::string_view flag, absl::string_view what) {
  return Refuse(absl::StatusCode::kInvalidArgument, absl::StrCat("--", flag, ": ", what),
                ErrorDetails{"BAD_FLAG", {}, {{std::string(flag), std::string(what)}}, {}});
}

absl::Status BadFlagOf(const absl::Status& refused) {
  const ErrorDetails details = DetailsOf(refused);
  if (details.fields.empty()) return refused;
  return BadFlag(absl::StrReplaceAll(details.fields[0].field, {{"_", "-"}}),
                 details.fields[0].description);
}

}  // namespace tollgate::base
