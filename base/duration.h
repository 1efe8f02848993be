// Durations as people write them in flags, files and commands: one syntax for all programs.
#ifndef TOLLGATE_BASE_DURATION_H_
#define TOLLGATE_BASE_DURATION_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"

namespace tollgate::base {

// Reads `500ms`, `30s`, `5m` (or `5min`), `24h`, `90d`, `2w`, `3mo` (of 30 days), `1y` (of 365
// days); sums of them, as in `1d12h`; fractions, as in `1.5h`; also `us`, `ns` and a bare `0`.
// nullopt for any other text: a number without a unit, a sign, white space, or a duration too long
// to count.
absl::optional<absl::Duration> DurationFromText(absl::string_view text);

// The text that a person would write and DurationFromText reads: `0s`, `30s`, `5m`, `24h`, `90d`,
// `1m30s`. `duration` is finite and not negative.
std::string TextFromDuration(absl::Duration duration);

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_DURATION_H_
