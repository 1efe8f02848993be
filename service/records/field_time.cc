#include "service/records/field_time.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"

namespace tollgate::service {
absl::StatusOr<absl::Time> TimeFromField(const google::protobuf::Timestamp& timestamp,
                                         absl::string_view field) {
  if (!base::IsValid(timestamp)) {
    return base::RefuseField("TIME_MALFORMED", field, "not a time between the years 1 and 9999");
  }
  return base::FromProto(timestamp);
}

absl::StatusOr<absl::Duration> DurationFromField(const google::protobuf::Duration& duration,
                                                 absl::string_view field, absl::Duration least,
                                                 absl::string_view reason,
                                                 absl::string_view too_long_reason) {
  if (!base::IsValid(duration)) {
    return base::RefuseField("DURATION_MALFORMED", field, "not a valid duration");
  }
  const absl::Duration value = base::FromProto(duration);
  if (value < least) {
    return base::RefuseField(reason, field,
                             absl::StrCat("is ", absl::FormatDuration(value), "; give at least ",
                                          absl::FormatDuration(least)));
  }
  if (value > kMaxDuration) {
    return base::RefuseField(too_long_reason.empty() ? reason : too_long_reason, field,
                             "is longer than 100 years; leave it out for no limit");
  }
  return value;
}

absl::StatusOr<absl::optional<absl::Time>> TimeOrDuration(
    bool has_time, const google::protobuf::Timestamp& time, absl::string_view time_field,
    bool has_duration, const google::protobuf::Duration& duration, absl::string_view duration_field,
    absl::Time now, int sign) {
  if (has_time && has_duration) {
    return base::RefuseField("BOTH_TIME_AND_DURATION", duration_field,
                             absl::StrCat("and ", time_field, " say the same; give one"));
  }
  if (has_time) {
    ASSIGN_OR_RETURN(const absl::Time at, TimeFromField(time, time_field));
    return absl::optional<absl::Time>(at);
  }
  if (!has_duration) return absl::optional<absl::Time>();
  ASSIGN_OR_RETURN(
      const absl::Duration length,
      DurationFromField(duration, duration_field, absl::ZeroDuration(), "DURATION_OUT_OF_BOUNDS"));
  return absl::optional<absl::Time>(now + sign * length);
}

int64_t ToRecordMicros(absl::Time time) { return std::max<int64_t>(1, absl::ToUnixMicros(time)); }

std::string RoughDuration(absl::Duration duration) {
  duration = std::max(duration, absl::ZeroDuration());
  if (duration < absl::Seconds(120)) return absl::StrCat(absl::ToInt64Seconds(duration), " s");
  if (duration < absl::Minutes(120)) return absl::StrCat(absl::ToInt64Minutes(duration), " min");
  if (duration < absl::Hours(48)) return absl::StrCat(absl::ToInt64Hours(duration), " h");
  return absl::StrCat(absl::ToInt64Hours(duration) / 24, " days");
}

}  // namespace tollgate::service
