#include "base/duration.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace tollgate::base {
namespace {

// Takes the longest beginning whose characters are all `wanted`.
template <class Wanted>
absl::string_view TakeWhile(absl::string_view* rest, Wanted wanted) {
  size_t n = 0;
  while (n < rest->size() && wanted((*rest)[n])) ++n;
  const absl::string_view taken = rest->substr(0, n);
  rest->remove_prefix(n);
  return taken;
}

// How many days a unit has; 0: it is shorter than a day.
int64_t DaysOf(absl::string_view unit) {
  return unit == "d" ? 1 : unit == "w" ? 7 : unit == "mo" ? 30 : unit == "y" ? 365 : 0;
}

}  // namespace

absl::optional<absl::Duration> DurationFromText(absl::string_view text) {
  if (text == "0") return absl::ZeroDuration();
  absl::Duration total;
  absl::string_view rest = text;
  do {
    const absl::string_view number =
        TakeWhile(&rest, [](char c) { return absl::ascii_isdigit(c) || c == '.'; });
    absl::string_view unit = TakeWhile(&rest, [](char c) { return absl::ascii_isalpha(c); });
    if (number.empty() || unit.empty()) return absl::nullopt;
    int64_t times = 1;  // absl knows nothing longer than an hour
    if (const int64_t days = DaysOf(unit); days > 0) {
      times = days * 24;
      unit = "h";
    } else if (unit == "min") {
      unit = "m";
    }
    absl::Duration part;
    if (!absl::ParseDuration(absl::StrCat(number, unit), &part)) return absl::nullopt;
    total += times * part;
  } while (!rest.empty());
  if (total == absl::InfiniteDuration()) return absl::nullopt;
  return total;
}

std::string TextFromDuration(absl::Duration duration) {
  const auto whole = [duration](absl::Duration unit) {
    return duration % unit == absl::Duration();
  };
  if (duration == absl::ZeroDuration()) return "0s";
  if (duration >= absl::Hours(48) && whole(absl::Hours(24))) {
    return absl::StrCat(duration / absl::Hours(24), "d");
  }
  if (whole(absl::Hours(1))) return absl::StrCat(duration / absl::Hours(1), "h");
  if (whole(absl::Minutes(1))) return absl::StrCat(duration / absl::Minutes(1), "m");
  return absl::FormatDuration(duration);
}

}  // namespace tollgate::base
