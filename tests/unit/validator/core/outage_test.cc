#include "validator/core/outage.h"

#include <algorithm>

#include "base/random.h"
#include "gtest/gtest.h"

namespace tollgate::validator {
namespace {

// Each of its bytes is the same: the least, or the greatest, number.
class SameBytes : public base::Random {
 public:
  explicit SameBytes(uint8_t byte) : byte_(byte) {}
  void Fill(absl::Span<uint8_t> out) override { std::fill(out.begin(), out.end(), byte_); }

 private:
  const uint8_t byte_;
};

class OutageTest : public ::testing::Test {
 protected:
  OutageTest() : outage_(OutageOptions(), &random_, at_) {}

  void Try() { outage_.Tried(at_); }

  void Pass(absl::Duration time) { at_ = at_ + time; }
  Outage::Next Ask() { return outage_.Ask(at_); }
  // Looks as soon as it is asked to, and comes upon this.
  void LookAndFind(const std::string& reason) {
    while (true) {
      const Outage::Next next = Ask();
      if (next.look) return outage_.Found(reason, at_);
      ASSERT_LT(next.wake_at, base::BootTime::InfiniteFuture());
      ASSERT_GT(next.wake_at, at_);
      at_ = next.wake_at;
    }
  }
  // Lines told in this time, where each look comes upon `reason`, and streams fail all the while.
  int Lines(absl::Duration time, const std::string& reason) {
    const base::BootTime end = at_ + time;
    int lines = 0;
    while (at_ < end) {
      const Outage::Next next = Ask();
      lines += next.tell ? 1 : 0;
      if (next.look) outage_.Found(reason, at_);
      Try();
      outage_.Lost(at_);
      Pass(absl::Milliseconds(100));
    }
    return lines;
  }
  bool Heard() { return outage_.Heard(at_, &figures_, &told_); }

  base::BootTime at_ = base::BootTime::FromNanos(1'000'000'000);
  SameBytes random_{0};
  Outage outage_;
  Outage::Figures figures_;
  bool told_ = false;
};

TEST_F(OutageTest, IsLookedIntoAndToldWithinTwoSeconds) {
  Try();
  outage_.Lost(at_);
  Try();
  EXPECT_FALSE(Ask().look);
  Pass(OutageOptions().look_after);
  EXPECT_TRUE(Ask().look);
  EXPECT_FALSE(Ask().look) << "one look at a time";
  // Where the look takes its whole second, it is told at once.
  Pass(absl::Seconds(1));
  outage_.Found("CONNECT_TIMED_OUT", at_);
  const Outage::Next next = Ask();
  EXPECT_TRUE(next.tell);
  EXPECT_EQ(next.figures.tries, 2);
  EXPECT_EQ(next.figures.lasted, OutageOptions().look_after + absl::Seconds(1));
  EXPECT_EQ(outage_.reason(), "CONNECT_TIMED_OUT");
  EXPECT_FALSE(Ask().tell);
}

TEST_F(OutageTest, TheLooksOfManyAreSpread) {
  SameBytes greatest(0xff);
  Outage last(OutageOptions(), &greatest, at_);
  last.Tried(at_);
  Pass(OutageOptions().look_after);
  EXPECT_FALSE(last.Ask(at_).look);
  Pass(OutageOptions().look_after);
  EXPECT_TRUE(last.Ask(at_).look);
  // Also the last of them tells within two seconds, where its look takes a second, and where its
  // first try came after the longest first pause.
  EXPECT_LE(2 * OutageOptions().look_after + absl::Seconds(1) + absl::Milliseconds(100),
            absl::Seconds(2));
}

TEST_F(OutageTest, AQuickLookIsToldOnceASecondHasPassed) {
  Try();
  LookAndFind("CONNECTION_REFUSED");
  EXPECT_FALSE(Ask().tell);
  EXPECT_EQ(Ask().wake_at, base::BootTime::FromNanos(2'000'000'000));
  at_ = Ask().wake_at;
  EXPECT_TRUE(Ask().tell);
}

TEST_F(OutageTest, IsToldAgainEachMinute) {
  EXPECT_EQ(Lines(absl::Minutes(1), "CONNECTION_REFUSED"), 1);
  EXPECT_EQ(Lines(absl::Minutes(10), "CONNECTION_REFUSED"), 10);
}

TEST_F(OutageTest, IsToldAnewWhenTheReasonChanges) {
  Lines(absl::Seconds(5), "CONNECTION_REFUSED");
  EXPECT_EQ(Lines(absl::Seconds(30), "TLS_WANTED"), 1);
  EXPECT_EQ(outage_.reason(), "TLS_WANTED");
}

TEST_F(OutageTest, AReasonThatIsFoundWithoutALookIsToldToo) {
  EXPECT_TRUE(Heard());
  EXPECT_TRUE(outage_.Lost(at_));
  outage_.Found("BRAND_DIFFERS", at_);
  Pass(absl::Seconds(1));
  EXPECT_TRUE(Ask().tell);
}

TEST_F(OutageTest, NothingIsToldOfAnOutageThatIsOverInASecond) {
  EXPECT_TRUE(Heard());
  EXPECT_FALSE(told_);
  EXPECT_EQ(Ask().wake_at, base::BootTime::InfiniteFuture());
  EXPECT_TRUE(outage_.Lost(at_));
  Try();
  LookAndFind("CONNECTION_REFUSED");
  EXPECT_FALSE(Ask().tell);
  EXPECT_TRUE(Heard());
  EXPECT_FALSE(told_);
  EXPECT_FALSE(Heard()) << "told once";
}

TEST_F(OutageTest, ItsEndIsToldWithItsFigures) {
  Try();
  Lines(absl::Seconds(12), "CONNECTION_REFUSED");
  EXPECT_TRUE(Heard());
  EXPECT_TRUE(told_);
  EXPECT_EQ(figures_.lasted, absl::Seconds(12));
  EXPECT_EQ(figures_.tries, 121);
  EXPECT_TRUE(outage_.reached());
  EXPECT_EQ(outage_.reason(), "");
}

TEST_F(OutageTest, ALookThatFindsNothingIsRepeatedAndThenTheSilenceIsTold) {
  Try();
  LookAndFind("");
  EXPECT_EQ(outage_.reason(), "");
  EXPECT_FALSE(Ask().tell);
  LookAndFind("");
  EXPECT_EQ(outage_.reason(), Outage::kUnexplained);
  EXPECT_TRUE(Ask().tell);
}

TEST_F(OutageTest, NothingIsLookedAtWhereNothingWasTried) {
  ASSERT_TRUE(Heard());
  ASSERT_TRUE(outage_.Lost(at_));  // the service has asked to be left alone for a while
  EXPECT_EQ(Ask().wake_at, base::BootTime::InfiniteFuture());
  Pass(absl::Minutes(1));
  EXPECT_FALSE(Ask().look);
  // The stream is on its way, which is no reason to look yet.
  Try();
  EXPECT_FALSE(Ask().look);
  EXPECT_EQ(Ask().wake_at, at_ + OutageOptions().look_after);
  Pass(OutageOptions().look_after);
  EXPECT_TRUE(Ask().look);
}

TEST_F(OutageTest, AStreamThatIsReplacedInOrderIsNotLookedAt) {
  for (int rotation = 0; rotation < 20; ++rotation) {
    Try();
    EXPECT_FALSE(Ask().look);
    Pass(absl::Milliseconds(300));  // a handshake
    EXPECT_FALSE(Ask().look);
    ASSERT_TRUE(outage_.Heard(at_, &figures_, &told_));
    Pass(absl::Minutes(5));
    EXPECT_FALSE(Ask().look);
    ASSERT_TRUE(outage_.Lost(at_));
    for (int i = 0; i < 20; ++i) {  // the two seconds that it was asked to stay away
      EXPECT_FALSE(Ask().look);
      Pass(absl::Milliseconds(100));
    }
  }
}

TEST_F(OutageTest, AfterALookTheNextWaitsForAnotherTry) {
  Try();
  outage_.Lost(at_);
  LookAndFind("CONNECTION_REFUSED");
  Pass(absl::Minutes(1));
  EXPECT_FALSE(Ask().look);
  Try();
  EXPECT_TRUE(Ask().look);
}

TEST_F(OutageTest, AServiceThatComesAndGoesIsNoFlood) {
  int lines = 0;
  int64_t left_out = 0;
  for (int round = 0; round < 600; ++round) {  // ten minutes
    Try();
    if (Heard()) {
      ++lines;
      left_out += figures_.left_out;
    }
    Pass(absl::Milliseconds(500));
    if (outage_.Lost(at_)) ++lines;
    Pass(absl::Milliseconds(500));
  }
  EXPECT_LE(lines, 110);
  EXPECT_GE(lines, 90);
  EXPECT_GT(left_out, 0);
}

TEST_F(OutageTest, ALookBelongsToTheOutageThatItWasBegunIn) {
  const int64_t first = outage_.number();
  Heard();
  outage_.Lost(at_);
  EXPECT_NE(outage_.number(), first);
}

}  // namespace
}  // namespace tollgate::validator
