#include "base/line_sums.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::base {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class LineSumsTest : public testing::Test {
 protected:
  static BootTime At(absl::Duration since_start) { return BootTime::FromNanos(0) + since_start; }
  static std::vector<std::string> Words(const std::vector<LineSums::Sum>& sums) {
    std::vector<std::string> words;
    words.reserve(sums.size());
    for (const LineSums::Sum& sum : sums) {
      words.push_back(absl::StrCat(sum.lines, " x ", sum.kind.message, " ", sum.kind.reason, " in ",
                                   absl::FormatDuration(sum.within)));
    }
    return words;
  }
  // Whether it is written; sums are kept in `told_`.
  bool Take(const std::string& message, const std::string& reason, absl::Duration at) {
    std::vector<LineSums::Sum> sums;
    const bool write = sums_.Take(LogLevel::kError, message, reason, At(at), &sums);
    for (const std::string& words : Words(sums)) told_.push_back(words);
    return write;
  }

  LineSums sums_{LineSums::Options{.period = absl::Minutes(1), .most_kinds = 3}};
  std::vector<std::string> told_;
};

TEST_F(LineSumsTest, TheFirstIsWrittenAndTheOthersAreASum) {
  int written = 0;
  for (int i = 0; i < 83'000; ++i) {
    written += Take("a read failed", "STORE_CORRUPT", absl::Minutes(1) * i / 83'000) ? 1 : 0;
  }
  EXPECT_EQ(written, 1);
  EXPECT_THAT(told_, IsEmpty());
  EXPECT_THAT(Words(sums_.Due(At(absl::Minutes(1)))),
              ElementsAre("82999 x a read failed STORE_CORRUPT in 1m"));
  EXPECT_THAT(sums_.Due(At(absl::Seconds(100))), IsEmpty());
}

TEST_F(LineSumsTest, AFloodThatGoesOnIsOneLineAPeriod) {
  int lines = 0;
  for (int second = 0; second < 3600; ++second) {
    lines += Take("x", "R", absl::Seconds(second)) ? 1 : 0;
    lines += static_cast<int>(sums_.Due(At(absl::Seconds(second))).size());
  }
  EXPECT_LE(lines + told_.size(), 61u);
  EXPECT_GE(lines + told_.size(), 59u);
}

TEST_F(LineSumsTest, AfterAQuietPeriodTheNextIsWrittenAtOnce) {
  EXPECT_TRUE(Take("x", "R", absl::ZeroDuration()));
  EXPECT_FALSE(Take("x", "R", absl::Seconds(1)));
  EXPECT_FALSE(Take("x", "R", absl::Seconds(61))) << "a period after a busy one";
  EXPECT_THAT(told_, ElementsAre("1 x x R in 1m1s"));
  EXPECT_THAT(Words(sums_.Due(At(absl::Seconds(130)))), ElementsAre("1 x x R in 1m9s"));
  EXPECT_THAT(sums_.Due(At(absl::Seconds(191))), IsEmpty());
  EXPECT_TRUE(Take("x", "R", absl::Seconds(192)));
}

TEST_F(LineSumsTest, AnotherReasonIsAnotherKind) {
  EXPECT_TRUE(Take("x", "A", absl::ZeroDuration()));
  EXPECT_TRUE(Take("x", "B", absl::ZeroDuration()));
  EXPECT_FALSE(Take("x", "A", absl::ZeroDuration()));
  EXPECT_TRUE(Take("y", "A", absl::ZeroDuration()));
}

TEST_F(LineSumsTest, KindsAreBounded) {
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration at = absl::Milliseconds(i);
    EXPECT_TRUE(Take("x", absl::StrCat(i), at));
    EXPECT_FALSE(Take("x", absl::StrCat(i), at));
  }
  EXPECT_EQ(told_.size(), 997u) << "what makes room is told of";
  EXPECT_EQ(sums_.All(At(absl::Seconds(2))).size(), 3u);
  EXPECT_THAT(sums_.All(At(absl::Seconds(2))), IsEmpty());
  EXPECT_TRUE(Take("x", std::string(1000, 'r'), absl::Seconds(3)));
  EXPECT_FALSE(Take("x", std::string(2000, 'r'), absl::Seconds(3))) << "cut alike";
}

}  // namespace
}  // namespace tollgate::base
