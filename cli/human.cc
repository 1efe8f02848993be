#include "cli/human.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "base/duration.h"

namespace tollgate::cli {
namespace {

constexpr absl::Duration kMost = absl::Hours(24 * 366 * 100);

struct Unit {
  absl::Duration length;
  const char* name;
};

// The unit that a time of this length is told in.
Unit UnitFor(absl::Duration duration) {
  if (duration < absl::Seconds(90)) return {absl::Seconds(1), "s"};
  if (duration < absl::Minutes(90)) return {absl::Minutes(1), "min"};
  if (duration < absl::Hours(36)) return {absl::Hours(1), "h"};
  return {absl::Hours(24), "days"};
}

}  // namespace

absl::StatusOr<absl::Duration> ParseHumanDuration(absl::string_view text) {
  const absl::optional<absl::Duration> duration = base::DurationFromText(text);
  if (!duration.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", text.substr(0, 40),
        "' is no duration; write a number and a unit, as in 90d, 2w, 3mo, 1y, 12h, 30m or 45s"));
  }
  if (*duration <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' must be above zero"));
  }
  if (*duration > kMost) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is above 100 years"));
  }
  return *duration;
}

absl::StatusOr<absl::Time> ParseHumanTime(absl::string_view text, OfDay of_day,
                                          absl::TimeZone local) {
  absl::Time time;
  std::string error;
  // absl takes a year of any length, and `infinite-future`.
  const bool has_year = text.size() > 4 && text[4] == '-' &&
                        std::all_of(text.begin(), text.begin() + 4, absl::ascii_isdigit);
  if (has_year && absl::ParseTime(absl::RFC3339_full, text, &time, &error)) return time;
  absl::string_view written = has_year ? text : absl::string_view();
  absl::TimeZone zone = absl::UTCTimeZone();
  if (absl::ConsumeSuffix(&written, " local")) {
    zone = local;
  } else {
    absl::ConsumeSuffix(&written, " UTC");
  }
  for (const char* format : {"%Y-%m-%d %H:%M:%E*S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"}) {
    if (absl::ParseTime(format, written, zone, &time, &error)) return time;
  }
  if (absl::ParseTime("%Y-%m-%d", written, zone, &time, &error)) {
    // By the calendar, because a day has 23 or 25 hours where clocks are changed.
    const absl::CivilDay day(absl::ToCivilDay(time, zone));
    return absl::FromCivil(of_day == OfDay::kEnd ? day + 1 : day, zone);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", text.substr(0, 40),
                   "' is no time; write 2027-02-22 (the end of that day), '2027-02-22 09:30 local' "
                   "or 2027-02-22T09:30:00Z; without a zone it is UTC"));
}

std::string HumanBytes(int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  double figure = static_cast<double>(std::max<int64_t>(bytes, 0));
  size_t unit = 0;
  // As it will be printed: 999.6 kB is 1.0 MB.
  while (figure >= 999.5 && unit + 1 < std::size(kUnits)) {
    figure /= 1000;
    ++unit;
  }
  return unit > 0 && figure < 9.95 ? absl::StrFormat("%.1f %s", figure, kUnits[unit])
                                   : absl::StrFormat("%.0f %s", figure, kUnits[unit]);
}

std::string HumanCount(int64_t count) {
  const std::string digits = absl::StrCat(count);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    const size_t left = digits.size() - i;
    if (i > 0 && left % 3 == 0 && digits[i - 1] != '-') text.push_back(',');
    text.push_back(digits[i]);
  }
  return text;
}

std::string HumanDuration(absl::Duration duration) {
  const Unit unit = UnitFor(duration);
  return absl::StrCat(std::max<int64_t>(duration / unit.length, 0), " ", unit.name);
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
    // Rounded to the nearest, so that 90d shows as 90 days just after creation, and 10s as 10 s.
    const Unit unit = UnitFor(time - now);
    return absl::StrCat("in ", (time - now + unit.length / 2) / unit.length, " ", unit.name);
  }
  return absl::StrCat(HumanDuration(now - time), " ago");
}

}  // namespace tollgate::cli
