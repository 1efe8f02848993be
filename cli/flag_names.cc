#include "cli/flag_names.h"

#include <array>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "cli/settings_file.h"

namespace tollgate::cli {
namespace {

// Fields whose flags are called something else. The rest are called as the field is, in the
// singular.
constexpr std::array<std::pair<absl::string_view, absl::string_view>, 11> kFlagsOfFields = {{
    {"lifetime", "expires-in"},
    {"expire_time", "expires-at"},
    {"parent", "workspace"},
    {"at_time", "retire-at"},
    {"overlap", "retire-in"},
    {"when_silent", "retire-when-silent"},
    {"quiet_period", "retire-when-silent"},
    {"label_contains", "label"},
    {"wait_timeout", "wait-timeout"},
    {"since_ago", "since"},
    {"until_ago", "until"},
}};

// The option of this name that was typed, of the command or of one above it.
const CLI::Option* Typed(const CLI::App* command, const std::string& name) {
  for (const CLI::App* at = command; at != nullptr; at = at->get_parent()) {
    const CLI::Option* option = at->get_option_no_throw("--" + name);
    if (option != nullptr) return option->empty() ? nullptr : option;
  }
  return nullptr;
}

}  // namespace

std::string FlagNames::OfValue(absl::string_view value) const {
  std::string flag;
  for (const CLI::App* at = DeepestNamed(*app_); at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      if (option->empty() || option->get_lnames().empty()) continue;
      for (const std::string& result : option->results()) {
        if (result != value) continue;
        if (!flag.empty()) return "";  // which of them is meant is not known
        flag = "--" + option->get_lnames().front();
      }
    }
  }
  return flag;
}

std::string FlagNames::OfField(absl::string_view field) const {
  const std::vector<absl::string_view> path = absl::StrSplit(field, '.');
  absl::string_view last = path.back();
  last = last.substr(0, last.find('['));  // "scopes[2]", "annotations[team]"
  std::vector<std::string> names;
  for (const auto& [of, flag] : kFlagsOfFields) {
    if (last == of) names.emplace_back(flag);
  }
  const std::string plain = absl::StrReplaceAll(last, {{"_", "-"}});
  names.push_back(plain);
  if (absl::EndsWith(plain, "s")) names.push_back(plain.substr(0, plain.size() - 1));
  for (const std::string& name : names) {
    for (const std::string& typed : {name, "add-" + name}) {
      if (Typed(DeepestNamed(*app_), typed) != nullptr) return "--" + typed;
    }
  }
  return "";
}

absl::Status FlagNames::InFlags(const absl::Status& status) const {
  if (status.code() != absl::StatusCode::kInvalidArgument) return status;
  base::ErrorDetails details = base::DetailsOf(status);
  std::string message(status.message());
  for (base::FieldViolation& violation : details.fields) {
    const std::string flag = OfField(violation.field);
    if (flag.empty()) continue;
    const std::string begins = violation.field + ": ";
    if (absl::StartsWith(message, begins)) {
      message = absl::StrCat(flag, ": ", absl::StripPrefix(message, begins));
    }
    violation.field = flag;
  }
  if (details.fields.empty() && absl::StartsWith(message, "'")) {
    const size_t end = message.find('\'', 1);
    const std::string flag =
        end == std::string::npos ? "" : OfValue(absl::string_view(message).substr(1, end - 1));
    if (!flag.empty()) message = absl::StrCat(flag, ": ", message);
  }
  return base::Refuse(status.code(), message, details);
}

}  // namespace tollgate::cli
