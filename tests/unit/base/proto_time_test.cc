#include "base/proto_time.h"

#include <cstdint>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace tollgate::base {
namespace {

using google::protobuf::Duration;
using google::protobuf::Timestamp;

constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

Timestamp Stamp(int64_t seconds, int32_t nanos) {
  Timestamp t;
  t.set_seconds(seconds);
  t.set_nanos(nanos);
  return t;
}

Duration Span(int64_t seconds, int32_t nanos) {
  Duration d;
  d.set_seconds(seconds);
  d.set_nanos(nanos);
  return d;
}

TEST(ProtoTimeTest, ATimestampIsValidWithinItsYearsAndItsSecond) {
  EXPECT_TRUE(IsValid(Stamp(0, 0)));
  EXPECT_TRUE(IsValid(Stamp(-62'135'596'800, 0)));
  EXPECT_TRUE(IsValid(Stamp(253'402'300'799, 999'999'999)));
  EXPECT_FALSE(IsValid(Stamp(-62'135'596'801, 0)));
  EXPECT_FALSE(IsValid(Stamp(253'402'300'800, 0)));
  EXPECT_FALSE(IsValid(Stamp(0, -1)));
  EXPECT_FALSE(IsValid(Stamp(0, 1'000'000'000)));
}

TEST(ProtoTimeTest, ADurationIsValidWithinItsYearsAndWithOneSign) {
  EXPECT_TRUE(IsValid(Span(0, 0)));
  EXPECT_TRUE(IsValid(Span(0, -999'999'999)));
  EXPECT_TRUE(IsValid(Span(-1, -1)));
  EXPECT_TRUE(IsValid(Span(315'576'000'000, 999'999'999)));
  EXPECT_FALSE(IsValid(Span(315'576'000'001, 0)));
  EXPECT_FALSE(IsValid(Span(-315'576'000'001, 0)));
  EXPECT_FALSE(IsValid(Span(1, -1)));
  EXPECT_FALSE(IsValid(Span(-1, 1)));
  EXPECT_FALSE(IsValid(Span(0, 1'000'000'000)));
  EXPECT_FALSE(IsValid(Span(0, -1'000'000'000)));
}

TEST(ProtoTimeTest, TimesComeBackAsTheyWent) {
  for (const absl::Time time :
       {absl::UnixEpoch(), absl::UnixEpoch() - absl::Nanoseconds(1),
        absl::FromUnixSeconds(1'800'000'000) + absl::Nanoseconds(123'456'789), LatestTimestamp()}) {
    const Timestamp stamp = ToProto(time);
    EXPECT_TRUE(IsValid(stamp)) << time;
    EXPECT_EQ(FromProto(stamp), time);
  }
  EXPECT_EQ(ToProto(absl::UnixEpoch() - absl::Nanoseconds(1)).seconds(), -1);
  EXPECT_EQ(ToProto(absl::UnixEpoch() - absl::Nanoseconds(1)).nanos(), 999'999'999);
}

TEST(ProtoTimeTest, DurationsComeBackAsTheyWent) {
  for (const absl::Duration d : {absl::ZeroDuration(), absl::Nanoseconds(1), absl::Nanoseconds(-1),
                                 absl::Seconds(1.5), absl::Seconds(-1.5), absl::Hours(876'600)}) {
    EXPECT_TRUE(IsValid(ToProto(d))) << d;
    EXPECT_EQ(FromProto(ToProto(d)), d);
  }
}

TEST(ProtoTimeTest, WhatNoMessageCanHoldBecomesTheNearest) {
  EXPECT_EQ(FromProto(ToProto(absl::InfiniteFuture())), LatestTimestamp());
  EXPECT_EQ(ToProto(absl::InfinitePast()).seconds(), -62'135'596'800);
  EXPECT_EQ(ToProto(absl::InfiniteDuration()).seconds(), 315'576'000'000);
  EXPECT_EQ(ToProto(-absl::InfiniteDuration()).seconds(), -315'576'000'000);
  EXPECT_TRUE(IsValid(ToProto(absl::InfiniteDuration())));
  EXPECT_TRUE(IsValid(ToProto(absl::InfinitePast())));
}

// Whatever a stranger puts into a message, there and back is defined (asan's build has ubsan).
TEST(ProtoTimeTest, NoMessageOverflows) {
  for (const int64_t seconds : {kLeast, int64_t{-1}, int64_t{0}, int64_t{1}, kMost}) {
    for (const int32_t nanos :
         {std::numeric_limits<int32_t>::min(), -1, 0, 1, std::numeric_limits<int32_t>::max()}) {
      EXPECT_TRUE(IsValid(ToProto(FromProto(Stamp(seconds, nanos)))));
      EXPECT_TRUE(IsValid(ToProto(FromProto(Span(seconds, nanos)))));
    }
  }
}

TEST(ProtoTimeTest, MicrosOfRecords) {
  EXPECT_EQ(TimestampFromMicros(-1).seconds(), -1);
  EXPECT_EQ(TimestampFromMicros(-1).nanos(), 999'999'000);
  EXPECT_EQ(TimestampFromMicros(1'500'000).nanos(), 500'000'000);
  EXPECT_EQ(DurationFromMicros(-1'500'000).seconds(), -1);
  EXPECT_EQ(DurationFromMicros(-1'500'000).nanos(), -500'000'000);
  EXPECT_TRUE(IsValid(TimestampFromMicros(kLeast)));
  EXPECT_TRUE(IsValid(TimestampFromMicros(kMost)));
}

}  // namespace
}  // namespace tollgate::base
