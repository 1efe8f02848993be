// Times and durations as people write and read them: "90d", "2 min ago", "in 89 days".
#ifndef TOLLGATE_CLI_HUMAN_H_
#define TOLLGATE_CLI_HUMAN_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace tollgate::cli {

// A duration in the syntax of DurationFromText ("90d", "2w", "3mo", "1y", "12h", "1d12h"), above
// zero and at most 100 years. INVALID_ARGUMENT otherwise, with an example.
absl::StatusOr<absl::Duration> ParseHumanDuration(absl::string_view text);

// Which moment of a day a date alone means.
enum class OfDay { kBegin, kEnd };
// A time in RFC 3339 ("2027-02-22T09:30:00Z", "2027-02-22T09:30:00+01:00"), a time of day
// ("2027-02-22 09:30") or a date alone ("2027-02-22"). A time without a zone is in UTC, or as a
// word behind it says: "2027-02-22 09:30 local", "2027-02-22 UTC"; `local` is this machine's zone.
// A date alone is the end of that day, which is the beginning of the next, or its beginning.
// INVALID_ARGUMENT otherwise, with an example.
absl::StatusOr<absl::Time> ParseHumanTime(absl::string_view text, OfDay of_day = OfDay::kEnd,
                                          absl::TimeZone local = absl::LocalTimeZone());

// "1.2 GB", "71 MB", "640 kB": in steps of a thousand. Never negative.
std::string HumanBytes(int64_t bytes);
// "1,004,812".
std::string HumanCount(int64_t count);

// One figure and one unit: "40 s", "2 min", "20 h", "89 days". Rounded down; never negative.
std::string HumanDuration(absl::Duration duration);
// A short measured time: "0.9 ms", "6.7 s".
std::string HumanElapsed(absl::Duration duration);
// "2 min ago", "in 89 days", "now".
std::string HumanTime(absl::Time time, absl::Time now);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_HUMAN_H_
