#include "cli/human.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tollgate {
namespace {

constexpr double kMostSeconds = 100.0 * 366 * 24 * 3600;

absl::Status NotADuration(absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("'", text.substr(0, 40),
                   "' is no duration; write a number and a unit, as in 90d, 12h, 30m or 45s"));
}

double SecondsOfUnit(absl::string_view unit) {
  if (unit == "w") return 7 * 24 * 3600;
  if (unit == "d") return 24 * 3600;
  if (unit == "h") return 3600;
  if (unit == "m" || unit == "min") return 60;
  if (unit == "s") return 1;
  if (unit == "ms") return 1e-3;
  return 0;
}

}  // namespace

absl::StatusOr<absl::Duration> ParseHumanDuration(absl::string_view text) {
  double total = 0;
  absl::string_view rest = text;
  if (rest.empty()) return NotADuration(text);
  while (!rest.empty()) {
    size_t digits = 0;
    double value = 0;
    while (digits < rest.size() && absl::ascii_isdigit(rest[digits])) {
      value = value * 10 + (rest[digits] - '0');
      ++digits;
    }
    if (digits == 0 || digits > 12) return NotADuration(text);
    size_t unit = digits;
    while (unit < rest.size() && absl::ascii_isalpha(rest[unit])) ++unit;
    const double seconds = SecondsOfUnit(rest.substr(digits, unit - digits));
    if (seconds == 0) return NotADuration(text);
    total += value * seconds;
    rest.remove_prefix(unit);
  }
  if (total <= 0) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' must be above zero"));
  }
  if (total > kMostSeconds) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is above 100 years"));
  }
  return absl::Microseconds(static_cast<int64_t>(std::llround(total * 1e6)));
}

absl::StatusOr<absl::Time> ParseHumanTime(absl::string_view text) {
  absl::Time time;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, text, &time, &error)) return time;
  if (absl::ParseTime("%Y-%m-%d", text, absl::UTCTimeZone(), &time, &error)) return time;
  return absl::InvalidArgumentError(absl::StrCat(
      "'", text.substr(0, 40), "' is no time; write 2027-02-22 or 2027-02-22T09:30:00Z"));
}

std::string HumanDuration(absl::Duration duration) {
  if (duration < absl::ZeroDuration()) duration = absl::ZeroDuration();
  const int64_t seconds = absl::ToInt64Seconds(duration);
  if (seconds < 90) return absl::StrCat(seconds, " s");
  if (seconds < 90 * 60) return absl::StrCat(seconds / 60, " min");
  if (seconds < 36 * 3600) return absl::StrCat(seconds / 3600, " h");
  return absl::StrCat(seconds / 86400, " days");
}

std::string HumanElapsed(absl::Duration duration) {
  const double ms = absl::ToDoubleMilliseconds(duration);
  if (ms < 10) return absl::StrFormat("%.1f ms", ms);
  if (ms < 1000) return absl::StrFormat("%.0f ms", ms);
  return absl::StrFormat("%.1f s", ms / 1000);
}

std::string HumanTime(absl::Time time, absl::Time now) {
  // Half a second of two clocks' disagreement must not read as "in 0 s".
  if (time <= now + absl::Milliseconds(500) && time > now - absl::Seconds(1)) return "just now";
  if (time > now) {
    // Rounded to the nearest, so that 90d shows as 90 days just after creation.
    return absl::StrCat("in ", HumanDuration(time - now + absl::Seconds(30)));
  }
  return absl::StrCat(HumanDuration(now - time), " ago");
}

}  // namespace tollgate
