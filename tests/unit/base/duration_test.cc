#include "base/duration.h"

#include <gtest/gtest.h>

namespace tollgate::base {
namespace {

TEST(DurationFromText, ReadsWhatPeopleWrite) {
  EXPECT_EQ(DurationFromText("500ms"), absl::Milliseconds(500));
  EXPECT_EQ(DurationFromText("30s"), absl::Seconds(30));
  EXPECT_EQ(DurationFromText("5m"), absl::Minutes(5));
  EXPECT_EQ(DurationFromText("5min"), absl::Minutes(5));
  EXPECT_EQ(DurationFromText("24h"), absl::Hours(24));
  EXPECT_EQ(DurationFromText("90d"), absl::Hours(24 * 90));
  EXPECT_EQ(DurationFromText("3mo"), absl::Hours(24 * 90));
  EXPECT_EQ(DurationFromText("1y"), absl::Hours(24 * 365));
  EXPECT_EQ(DurationFromText("1y6mo"), absl::Hours(24 * (365 + 180)));
  EXPECT_EQ(DurationFromText("2w"), absl::Hours(24 * 14));
  EXPECT_EQ(DurationFromText("1d12h"), absl::Hours(36));
  EXPECT_EQ(DurationFromText("1h30m"), absl::Minutes(90));
  EXPECT_EQ(DurationFromText("1.5h"), absl::Minutes(90));
  EXPECT_EQ(DurationFromText("0.5d"), absl::Hours(12));
  EXPECT_EQ(DurationFromText("1m30ms"), absl::Minutes(1) + absl::Milliseconds(30));
  EXPECT_EQ(DurationFromText("7us"), absl::Microseconds(7));
  EXPECT_EQ(DurationFromText("0s"), absl::ZeroDuration());
  EXPECT_EQ(DurationFromText("0"), absl::ZeroDuration());
}

TEST(DurationFromText, ReadsNothingElse) {
  for (const char* text : {"",
                           "30",
                           "s",
                           "-1s",
                           "+1s",
                           "1h-5m",
                           "inf",
                           "infinity",
                           "1inf",
                           "5 parsecs",
                           "5 s",
                           " 5s",
                           "5s ",
                           "dd",
                           "-1d",
                           "1d1",
                           "1h0",
                           "1e9d",
                           "1.2.3s",
                           ".s",
                           ".",
                           "9q",
                           "5S",
                           "5µs",
                           "99999999999999999999s",
                           "9999999999999999w",
                           "9000000000000000000s9000000000000000000s"}) {
    EXPECT_FALSE(DurationFromText(text).has_value()) << text;
  }
}

TEST(TextFromDuration, IsWhatAPersonWouldWrite) {
  EXPECT_EQ(TextFromDuration(absl::ZeroDuration()), "0s");
  EXPECT_EQ(TextFromDuration(absl::Milliseconds(500)), "500ms");
  EXPECT_EQ(TextFromDuration(absl::Seconds(30)), "30s");
  EXPECT_EQ(TextFromDuration(absl::Seconds(90)), "1m30s");
  EXPECT_EQ(TextFromDuration(absl::Minutes(5)), "5m");
  EXPECT_EQ(TextFromDuration(absl::Hours(24)), "24h");
  EXPECT_EQ(TextFromDuration(absl::Hours(36)), "36h");
  EXPECT_EQ(TextFromDuration(absl::Hours(24 * 90)), "90d");
}

TEST(TextFromDuration, IsReadBackAsItWas) {
  for (const absl::Duration duration :
       {absl::ZeroDuration(), absl::Nanoseconds(1), absl::Microseconds(1500), absl::Seconds(61),
        absl::Minutes(61), absl::Hours(25), absl::Hours(49), absl::Hours(24 * 365),
        absl::Hours(48) + absl::Milliseconds(1)}) {
    EXPECT_EQ(DurationFromText(TextFromDuration(duration)), duration) << duration;
  }
}

}  // namespace
}  // namespace tollgate::base
