#include "service/records/field_time.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate {
namespace {

constexpr int64_t kFirstSecond = -62135596800;  // 0001-01-01T00:00:00Z
constexpr int64_t kLastSecond = 253402300799;   // 9999-12-31T23:59:59Z
constexpr int64_t kMostSeconds = 315576000000;  // of a Duration
constexpr int32_t kNanosInSecond = 1'000'000'000;

}  // namespace

absl::Time LatestTime() { return absl::FromUnixSeconds(kLastSecond); }

absl::StatusOr<absl::Time> TimeFromField(const google::protobuf::Timestamp& timestamp,
                                         absl::string_view field) {
  if (timestamp.seconds() < kFirstSecond || timestamp.seconds() > kLastSecond ||
      timestamp.nanos() < 0 || timestamp.nanos() >= kNanosInSecond) {
    return RefuseField("TIME_MALFORMED", field, "not a time between the years 1 and 9999");
  }
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

absl::StatusOr<absl::Duration> DurationFromField(const google::protobuf::Duration& duration,
                                                 absl::string_view field, absl::Duration least,
                                                 absl::string_view reason,
                                                 absl::string_view too_long_reason) {
  const int64_t seconds = duration.seconds();
  const int32_t nanos = duration.nanos();
  if (seconds < -kMostSeconds || seconds > kMostSeconds || nanos <= -kNanosInSecond ||
      nanos >= kNanosInSecond || (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0)) {
    return RefuseField("DURATION_MALFORMED", field, "not a valid duration");
  }
  const absl::Duration value = absl::Seconds(seconds) + absl::Nanoseconds(nanos);
  if (value < least) {
    return RefuseField(reason, field,
                       absl::StrCat("is ", absl::FormatDuration(value), "; give at least ",
                                    absl::FormatDuration(least)));
  }
  if (value > kMaxDuration) {
    return RefuseField(too_long_reason.empty() ? reason : too_long_reason, field,
                       "is longer than 100 years; leave it out for no limit");
  }
  return value;
}

void SetTimestamp(absl::Time time, google::protobuf::Timestamp* out) {
  const int64_t seconds = absl::ToUnixSeconds(time);  // rounded down
  out->set_seconds(seconds);
  out->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

void SetProtoDuration(absl::Duration duration, google::protobuf::Duration* out) {
  absl::Duration rest;
  out->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

int64_t ToRecordMicros(absl::Time time) { return std::max<int64_t>(1, absl::ToUnixMicros(time)); }

std::string RoughDuration(absl::Duration duration) {
  duration = std::max(duration, absl::ZeroDuration());
  if (duration < absl::Seconds(120)) return absl::StrCat(absl::ToInt64Seconds(duration), " s");
  if (duration < absl::Minutes(120)) return absl::StrCat(absl::ToInt64Minutes(duration), " min");
  if (duration < absl::Hours(48)) return absl::StrCat(absl::ToInt64Hours(duration), " h");
  return absl::StrCat(absl::ToInt64Hours(duration) / 24, " days");
}

}  // namespace tollgate
