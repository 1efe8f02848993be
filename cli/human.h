// Times and durations as people write and read them: "90d", "2 min ago", "in 89 days".
#ifndef TOLLGATE_CLI_HUMAN_H_
#define TOLLGATE_CLI_HUMAN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace tollgate::cli {

// A duration in the syntax of DurationFromText ("90d", "12h", "1d12h"), above zero and at most 100
// years. INVALID_ARGUMENT otherwise, with an example.
absl::StatusOr<absl::Duration> ParseHumanDuration(absl::string_view text);

// A time in RFC 3339 ("2027-02-22T00:00:00Z"), or the beginning of a date in UTC ("2027-02-22").
absl::StatusOr<absl::Time> ParseHumanTime(absl::string_view text);

// One figure and one unit: "40 s", "2 min", "20 h", "89 days". Rounded down; never negative.
std::string HumanDuration(absl::Duration duration);
// A short measured time: "0.9 ms", "6.7 s".
std::string HumanElapsed(absl::Duration duration);
// "2 min ago", "in 89 days", "now".
std::string HumanTime(absl::Time time, absl::Time now);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_HUMAN_H_
