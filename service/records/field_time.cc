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

int64_t ToRecordMicros(absl::Time time) { return std::max<int64_t>(1, absl::ToUnixMicros(time)); }

std::string RoughDuration(absl::Duration duration) {
  duration = std::max(duration, absl::ZeroDuration());
  if (duration < absl::Seconds(120)) return absl::StrCat(absl::ToInt64Seconds(duration), " s");
  if (duration < absl::Minutes(120)) return absl::StrCat(absl::ToInt64Minutes(duration), " min");
  if (duration < absl::Hours(48)) return absl::StrCat(absl::ToInt64Hours(duration), " h");
  return absl::StrCat(absl::ToInt64Hours(duration) / 24, " days");
}

}  // namespace tollgate::service
