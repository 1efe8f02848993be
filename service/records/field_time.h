// Times and durations between the wire, the store (micros; 0: unset) and absl::Time.
#ifndef TOLLGATE_SERVICE_RECORDS_FIELD_TIME_H_
#define TOLLGATE_SERVICE_RECORDS_FIELD_TIME_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace tollgate::service {

// The longest duration that is taken for a token: 100 years. Its sum with a real time fits into
// micros and into a Timestamp.
inline constexpr absl::Duration kMaxDuration = absl::Hours(24 * 36525);

// INVALID_ARGUMENT, TIME_MALFORMED: not a valid Timestamp (years 1 to 9999).
absl::StatusOr<absl::Time> TimeFromField(const google::protobuf::Timestamp& timestamp,
                                         absl::string_view field);
// INVALID_ARGUMENT: DURATION_MALFORMED where it is not a valid Duration; `reason` where it is below
// `least` or above kMaxDuration (above it `too_long_reason`, where one is given).
absl::StatusOr<absl::Duration> DurationFromField(const google::protobuf::Duration& duration,
                                                 absl::string_view field, absl::Duration least,
                                                 absl::string_view reason,
                                                 absl::string_view too_long_reason = "");

// One condition of time, given as a time or as a duration from `now` on (`sign` 1) or back (-1);
// nullopt: neither is given. BOTH_TIME_AND_DURATION, TIME_MALFORMED, DURATION_MALFORMED,
// DURATION_OUT_OF_BOUNDS.
absl::StatusOr<absl::optional<absl::Time>> TimeOrDuration(
    bool has_time, const google::protobuf::Timestamp& time, absl::string_view time_field,
    bool has_duration, const google::protobuf::Duration& duration, absl::string_view duration_field,
    absl::Time now, int sign);

// A time as records have it. 0 means unset; a real time never gives 0.
int64_t ToRecordMicros(absl::Time time);
// The time of a record's field that is set.
inline absl::Time FromRecordMicros(int64_t us) { return absl::FromUnixMicros(us); }

// "40 s", "12 min", "3 h", "41 days": how long ago, for people.
std::string RoughDuration(absl::Duration duration);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RECORDS_FIELD_TIME_H_
