#include "base/proto_time.h"

#include <algorithm>

namespace tollgate::base {
namespace {

constexpr int64_t kFirstSecond = -62'135'596'800;  // 0001-01-01T00:00:00Z
constexpr int64_t kLastSecond = 253'402'300'799;   // 9999-12-31T23:59:59Z
constexpr int64_t kMostSeconds = 315'576'000'000;  // of a Duration, either way
constexpr int32_t kNanosInSecond = 1'000'000'000;

}  // namespace

absl::Time LatestTimestamp() { return absl::FromUnixSeconds(kLastSecond); }

bool IsValid(const google::protobuf::Timestamp& timestamp) {
  return timestamp.seconds() >= kFirstSecond && timestamp.seconds() <= kLastSecond &&
         timestamp.nanos() >= 0 && timestamp.nanos() < kNanosInSecond;
}

bool IsValid(const google::protobuf::Duration& duration) {
  const int64_t seconds = duration.seconds();
  const int32_t nanos = duration.nanos();
  return seconds >= -kMostSeconds && seconds <= kMostSeconds && nanos > -kNanosInSecond &&
         nanos < kNanosInSecond && !(seconds > 0 && nanos < 0) && !(seconds < 0 && nanos > 0);
}

absl::Time FromProto(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

google::protobuf::Timestamp ToProto(absl::Time time) {
  time = std::clamp(time, absl::FromUnixSeconds(kFirstSecond), LatestTimestamp());
  google::protobuf::Timestamp out;
  const int64_t seconds = absl::ToUnixSeconds(time);  // rounded down
  out.set_seconds(seconds);
  out.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
  return out;
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  duration = std::clamp(duration, -absl::Seconds(kMostSeconds), absl::Seconds(kMostSeconds));
  google::protobuf::Duration out;
  absl::Duration rest;
  out.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  out.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return out;
}

google::protobuf::Timestamp TimestampFromMicros(int64_t us) {
  return ToProto(absl::FromUnixMicros(us));
}

google::protobuf::Duration DurationFromMicros(int64_t us) {
  return ToProto(absl::Microseconds(us));
}

}  // namespace tollgate::base
