// Times and durations in protos: the one converter of all rooms.
//
// All functions are total: no value of a message makes one overflow, trap or wrap. A message from
// outside is checked with IsValid first, so that a value its type does not allow can be refused
// (RFC 3339's years, google/protobuf/{timestamp,duration}.proto).
#ifndef TOLLGATE_BASE_PROTO_TIME_H_
#define TOLLGATE_BASE_PROTO_TIME_H_

#include <cstdint>

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace tollgate::base {

// The last second that a Timestamp can hold: 9999-12-31T23:59:59Z.
absl::Time LatestTimestamp();

// Whether the Timestamp is valid: years 1 to 9999, nanos of 0 to 999,999,999.
bool IsValid(const google::protobuf::Timestamp& timestamp);
// Whether the Duration is valid: at most 10,000 years either way, nanos below a second and of the
// same sign as the seconds.
bool IsValid(const google::protobuf::Duration& duration);

// The time that the message names, to the nanosecond; also where the message is not valid.
absl::Time FromProto(const google::protobuf::Timestamp& timestamp);
// The duration that the message names, to the nanosecond; also where the message is not valid.
absl::Duration FromProto(const google::protobuf::Duration& duration);

// A valid message: nanoseconds, rounded down; a time outside the years 1 to 9999 becomes the
// nearest second within.
google::protobuf::Timestamp ToProto(absl::Time time);
// A valid message: nanoseconds, rounded towards zero; a duration beyond 10,000 years becomes 10,000
// years.
google::protobuf::Duration ToProto(absl::Duration duration);

// Times as records keep them: microseconds since the Unix epoch.
google::protobuf::Timestamp TimestampFromMicros(int64_t us);
// Durations as records keep them: microseconds.
google::protobuf::Duration DurationFromMicros(int64_t us);

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_PROTO_TIME_H_
