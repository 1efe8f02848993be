#include "cli/human.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tollgate::cli {
namespace {

TEST(ParseHumanDuration, ReadsWhatPeopleWrite) {
  EXPECT_EQ(*ParseHumanDuration("90d"), absl::Hours(24 * 90));
  EXPECT_EQ(*ParseHumanDuration("2w"), absl::Hours(24 * 14));
  EXPECT_EQ(*ParseHumanDuration("1d12h"), absl::Hours(36));
  EXPECT_EQ(*ParseHumanDuration("250ms"), absl::Milliseconds(250));
  EXPECT_EQ(*ParseHumanDuration("30m"), absl::Minutes(30));
}

TEST(ParseHumanDuration, RefusesTheRestWithAnExample) {
  for (const char* text : {"", "90", "d", "-5d", "0s", "9q", "5 d", "101w9999999999d", "101y", "0",
                           "1e9d", "99999999999999999999s"}) {
    const auto parsed = ParseHumanDuration(text);
    EXPECT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(ParseHumanDuration, SaysWhatIsWrong) {
  const auto message = [](const char* text) {
    return std::string(ParseHumanDuration(text).status().message());
  };
  EXPECT_EQ(
      message("90"),
      "'90' is no duration; write a number and a unit, as in 90d, 2w, 3mo, 1y, 12h, 30m or 45s");
  EXPECT_EQ(message("0s"), "'0s' must be above zero");
  EXPECT_EQ(message("5300w"), "'5300w' is above 100 years");
}

TEST(ParseHumanTime, ReadsDatesAndMoments) {
  const absl::Time day = absl::FromUnixSeconds(1803254400);  // 2027-02-22T00:00:00Z
  const absl::Time next = day + absl::Hours(24);
  EXPECT_EQ(*ParseHumanTime("2027-02-22"), next) << "a token that expires on a day lives that day";
  EXPECT_EQ(*ParseHumanTime("2027-02-22 UTC"), next);
  EXPECT_EQ(*ParseHumanTime("2027-02-22", OfDay::kBegin), day);
  EXPECT_EQ(*ParseHumanTime("2027-02-22T00:00:00Z"), day);
  EXPECT_EQ(*ParseHumanTime("2027-02-22 09:30"), day + absl::Minutes(9 * 60 + 30));
  EXPECT_EQ(*ParseHumanTime("2027-02-22T09:30"), day + absl::Minutes(9 * 60 + 30));
  EXPECT_EQ(*ParseHumanTime("2027-02-22 09:30:15.5 UTC"),
            day + absl::Seconds((9 * 60 + 30) * 60) + absl::Milliseconds(15500));
  EXPECT_EQ(*ParseHumanTime("2027-02-22T01:00:00+01:00"), absl::FromUnixSeconds(1803254400));
  EXPECT_FALSE(ParseHumanTime("tomorrow").ok());
  EXPECT_FALSE(ParseHumanTime("2027-02-30").ok());
  EXPECT_FALSE(ParseHumanTime("2027-02-22 noon").ok());
  EXPECT_FALSE(ParseHumanTime("local").ok());
  EXPECT_FALSE(ParseHumanTime("26-11-24").ok()) << "the year 26";
  EXPECT_FALSE(ParseHumanTime("infinite-future").ok());
  EXPECT_FALSE(ParseHumanTime("12026-11-24").ok());
}

TEST(ParseHumanTime, TakesTheLocalZoneWhereThatIsSaid) {
  absl::TimeZone berlin;
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Berlin", &berlin));
  const auto parse = [&](absl::string_view text, OfDay of_day = OfDay::kEnd) {
    return absl::FormatTime(absl::RFC3339_sec, *ParseHumanTime(text, of_day, berlin),
                            absl::UTCTimeZone());
  };
  EXPECT_EQ(parse("2027-02-22 local"), "2027-02-22T23:00:00+00:00");
  EXPECT_EQ(parse("2027-02-22 local", OfDay::kBegin), "2027-02-21T23:00:00+00:00");
  EXPECT_EQ(parse("2027-02-22 09:30 local"), "2027-02-22T08:30:00+00:00");
  EXPECT_EQ(parse("2027-02-22 09:30"), "2027-02-22T09:30:00+00:00");
  // Days on which clocks are changed have 23 and 25 hours.
  EXPECT_EQ(parse("2027-03-28 local", OfDay::kBegin), "2027-03-27T23:00:00+00:00");
  EXPECT_EQ(parse("2027-03-28 local"), "2027-03-28T22:00:00+00:00");
}

TEST(HumanTime, ReadsAsPeopleSpeak) {
  const absl::Time now = absl::FromUnixSeconds(1800000000);
  EXPECT_EQ(HumanTime(now - absl::Minutes(2), now), "2 min ago");
  EXPECT_EQ(HumanTime(now + absl::Hours(24 * 90) - absl::Milliseconds(80), now), "in 90 days");
  EXPECT_EQ(HumanTime(now - absl::Hours(24 * 41), now), "41 days ago");
  EXPECT_EQ(HumanTime(now + absl::Hours(20), now), "in 20 h");
  EXPECT_EQ(HumanTime(now, now), "just now");
  // What is to come is rounded to the nearest of the unit that is shown.
  EXPECT_EQ(HumanTime(now + absl::Seconds(10) - absl::Milliseconds(80), now), "in 10 s");
  EXPECT_EQ(HumanTime(now + absl::Seconds(89), now), "in 89 s");
  EXPECT_EQ(HumanTime(now + absl::Seconds(5 * 60 - 1), now), "in 5 min");
  EXPECT_EQ(HumanTime(now + absl::Seconds(5 * 60 + 29), now), "in 5 min");
  EXPECT_EQ(HumanTime(now + absl::Minutes(20 * 60 + 29), now), "in 20 h");
  EXPECT_EQ(HumanTime(now + absl::Hours(24 * 90 - 11), now), "in 90 days");
}

TEST(HumanBytes, HasOneUnitAndTwoFiguresOrMore) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(999), "999 B");
  EXPECT_EQ(HumanBytes(1000), "1.0 kB");
  EXPECT_EQ(HumanBytes(71'400'000), "71 MB");
  EXPECT_EQ(HumanBytes(999'600), "1.0 MB");
  EXPECT_EQ(HumanBytes(1'234'567'890), "1.2 GB");
  EXPECT_EQ(HumanBytes(int64_t{5} << 60), "5764608 TB");
}

TEST(HumanCount, GroupsItsDigits) {
  EXPECT_EQ(HumanCount(0), "0");
  EXPECT_EQ(HumanCount(999), "999");
  EXPECT_EQ(HumanCount(1000), "1,000");
  EXPECT_EQ(HumanCount(1'004'812), "1,004,812");
  EXPECT_EQ(HumanCount(-123), "-123");
  EXPECT_EQ(HumanCount(-1234), "-1,234");
}

TEST(HumanElapsed, KeepsTwoFigures) {
  EXPECT_EQ(HumanElapsed(absl::Microseconds(930)), "0.9 ms");
  EXPECT_EQ(HumanElapsed(absl::Milliseconds(11)), "11 ms");
  EXPECT_EQ(HumanElapsed(absl::Milliseconds(6700)), "6.7 s");
}

}  // namespace
}  // namespace tollgate::cli
