// Times and durations between the wire, the store (micros; 0: unset) and absl::Time.
#ifndef TOLLGATE_SERVICE_RECORDS_FIELD_TIME_H_
#define TOLLGATE_SERVICE_RECORDS_FIELD_TIME_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace tollgate::service {

// The longest duration that means anything to a token: 100 years. Sums of it and a real time fit
// into micros and into a Timestamp.
inline constexpr absl::Duration kMaxDuration = absl::Hours(24 * 36525);

// INVALID_ARGUMENT, TIME_MALFORMED, unless it is a valid Timestamp (years 1 to 9999).
absl::StatusOr<absl::Time> TimeFromField(const google::protobuf::Timestamp& timestamp,
                                         absl::string_view field);
// INVALID_ARGUMENT, DURATION_MALFORMED, unless it is a valid Duration; `reason` unless it is at
// least `least` and at most kMaxDuration (above it `too_long_reason`, where one is given).
absl::StatusOr<absl::Duration> DurationFromField(const google::protobuf::Duration& duration,
                                                 absl::string_view field, absl::Duration least,
                                                 absl::string_view reason,
                                                 absl::string_view too_long_reason = "");

// 0 for unset, as records have it; never 0 for a real time.
int64_t ToRecordMicros(absl::Time time);
// The time of a record's field that is set.
inline absl::Time FromRecordMicros(int64_t us) { return absl::FromUnixMicros(us); }

// "40 s", "12 min", "3 h", "41 days": how long ago, for people.
std::string RoughDuration(absl::Duration duration);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RECORDS_FIELD_TIME_H_
