#include "service/clock/service_time.h"

#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

using tollgate::v1::CLOCK_DOUBT_AHEAD_OF_STORE;
using tollgate::v1::CLOCK_DOUBT_BEHIND_STORE;
using tollgate::v1::CLOCK_DOUBT_EDGES_DISAGREE;
using tollgate::v1::CLOCK_DOUBT_SINCE_BEFORE_START;
using tollgate::v1::CLOCK_DOUBT_STEPPED;
using tollgate::v1::CLOCK_DOUBT_UNSPECIFIED;

constexpr absl::Duration kDay = absl::Hours(24);
constexpr absl::Duration kStep = absl::Seconds(10);  // the usual bound

// A machine, whose wall clock may be set. Times are told as the true time since noon.
class ServiceTimeTest : public testing::Test {
 protected:
  const absl::Time noon_ = absl::FromUnixSeconds(1'764'000'000);

  ClockReading Reading() const {
    return {base::BootTime::FromNanos(1'000'000'000) + since_boot_, noon_ + true_ + wrong_};
  }
  void Pass(absl::Duration d) {
    since_boot_ += d;
    true_ += d;
  }
  void Start() { time_.emplace(options_, stored_, boot_id_, Reading()); }
  // As a service that was off for `off`, on another boot.
  void StartAfter(absl::Duration off) {
    stored_ =
        ServiceTime::Stored{noon_ + true_, "before", base::BootTime::FromNanos(77), in_doubt_};
    true_ += off;
    Start();
  }
  absl::Duration Now() { return time_->Read(Reading()) - noon_; }
  absl::Duration True() const { return true_; }
  tollgate::v1::ClockDoubt Doubt() {
    Now();
    return time_->doubt();
  }
  void Kernel(bool synchronised) {
    time_->OnKernel(Reading(), synchronised ? absl::optional<absl::Time>(noon_ + true_ + wrong_)
                                            : absl::nullopt);
  }
  // The edges tell the true time, but for the last `wrong` of them.
  void EdgesTell(int count, int wrong = 0) {
    for (int i = 0; i < count; ++i) {
      const absl::Duration off = i >= count - wrong ? absl::Hours(5) : absl::Milliseconds(-30);
      time_->OnEdge(std::string(1, static_cast<char>('a' + i)), noon_ + true_ + off,
                    Reading().boot);
    }
    time_->JudgeEdges(Reading());
  }
  ClockChange LastChange() {
    std::vector<ClockChange> changes = time_->TakeChanges();
    EXPECT_FALSE(changes.empty());
    return changes.empty() ? ClockChange() : changes.back();
  }

  ServiceTime::Options options_;
  std::string boot_id_ = "now";
  bool in_doubt_ = false;
  absl::optional<ServiceTime::Stored> stored_;
  absl::Duration since_boot_;
  absl::Duration true_;
  absl::Duration wrong_;  // the wall clock's error
  absl::optional<ServiceTime> time_;
};

TEST_F(ServiceTimeTest, TrustedItIsTheWallClock) {
  Start();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Now(), True());
    Pass(absl::Hours(7));
  }
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED);
  EXPECT_TRUE(time_->TakeChanges().empty());
}

TEST_F(ServiceTimeTest, AStepAheadIsNotFollowed) {
  Start();
  Now();
  Pass(absl::Minutes(1));
  wrong_ = 400 * kDay;
  EXPECT_LE(Now(), True());
  EXPECT_GT(Now(), True() - absl::Seconds(1));
  EXPECT_EQ(time_->doubt(), CLOCK_DOUBT_STEPPED);
  Pass(10 * kDay);
  EXPECT_LE(Now(), True()) << "never ahead: nothing is ended wrongly";
  EXPECT_GE(Now(), True() - 10 * kDay * 0.0011);
  const ClockChange change = LastChange();
  EXPECT_TRUE(change.in_doubt);
  EXPECT_EQ(change.from, change.to);
}

TEST_F(ServiceTimeTest, AStepBackIsNotFollowed) {
  Start();
  Pass(absl::Minutes(1));
  const absl::Duration before = Now();
  wrong_ = -5 * 365 * kDay;
  Pass(absl::Seconds(1));
  EXPECT_GT(Now(), before);
  EXPECT_EQ(time_->doubt(), CLOCK_DOUBT_STEPPED);
}

TEST_F(ServiceTimeTest, ASmallStepIsFollowedAndNeverBack) {
  Start();
  Pass(absl::Minutes(1));
  wrong_ = absl::Seconds(3);
  const absl::Duration ahead = Now();
  EXPECT_EQ(ahead, True() + absl::Seconds(3));
  wrong_ = absl::Seconds(-3);
  EXPECT_EQ(Now(), ahead);
  Pass(absl::Seconds(5));
  EXPECT_EQ(Now(), ahead) << "it stands until the wall clock has caught up";
  Pass(absl::Seconds(5));
  EXPECT_EQ(Now(), True() - absl::Seconds(3));
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED);
}

TEST_F(ServiceTimeTest, ManySmallStepsAreOneLargeStep) {
  Start();
  for (int i = 0; i < 10; ++i) {
    Pass(absl::Seconds(1));
    wrong_ += absl::Seconds(5);
    Now();
  }
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_STEPPED);
  EXPECT_LE(Now(), True() + kStep + absl::Seconds(1));
}

TEST_F(ServiceTimeTest, TwoClocksThatDriftApartSlowlyAreNoStep) {
  Start();
  for (int i = 0; i < 1000; ++i) {
    Pass(absl::Minutes(1));
    wrong_ += absl::Milliseconds(30);  // half the drift bound
    EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED);
  }
  EXPECT_EQ(Now(), True() + absl::Seconds(30));
}

TEST_F(ServiceTimeTest, AStepThatIsTakenBackEndsTheDoubt) {
  Start();
  Pass(absl::Minutes(1));
  Now();
  wrong_ = 400 * kDay;
  Now();
  Pass(absl::Seconds(8));
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_STEPPED);
  wrong_ = absl::ZeroDuration();
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED);
  EXPECT_EQ(LastChange().trust, ClockTrust::kAgreesAgain);
  EXPECT_EQ(Now(), True());
  EXPECT_FALSE(time_->jumped_to().has_value());
}

TEST_F(ServiceTimeTest, ALongDoubtThatEndsByItselfDoesNotComeBack) {
  Start();
  Pass(absl::Minutes(1));
  Now();
  wrong_ = 400 * kDay;
  Now();
  Pass(10 * kDay);
  wrong_ = absl::Minutes(5);  // what two clocks may drift apart in that time
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED);
  Pass(absl::Seconds(1));
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED);
}

TEST_F(ServiceTimeTest, TheKernelEndsADoubt) {
  Start();
  Pass(absl::Minutes(1));
  Now();
  since_boot_ -= absl::Seconds(45);  // resumed from a snapshot: the boot clock lost an hour
  true_ += absl::Hours(1);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_STEPPED);
  Kernel(false);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_STEPPED);
  Kernel(true);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED);
  EXPECT_EQ(Now(), True());
  EXPECT_EQ(LastChange().trust, ClockTrust::kKernel);
  EXPECT_EQ(*time_->jumped_to(), noon_ + True());
}

TEST_F(ServiceTimeTest, AKernelThatMeansAnotherTimeEndsNothing) {
  Start();
  Now();
  wrong_ = 400 * kDay;
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_STEPPED);
  time_->OnKernel(Reading(), noon_ + True());  // the wall clock that is read is not the kernel's
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_STEPPED);
}

TEST_F(ServiceTimeTest, AStartFarAheadGoesOnFromTheStore) {
  wrong_ = 400 * kDay;
  StartAfter(absl::Hours(1));
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_AHEAD_OF_STORE);
  EXPECT_EQ(Now(), absl::ZeroDuration());
  Pass(absl::Hours(1));
  EXPECT_LE(Now(), absl::Hours(1));
  EXPECT_GT(Now(), absl::Minutes(59));
  wrong_ = absl::ZeroDuration();  // set right: it is where a start would have trusted it
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED);
  EXPECT_EQ(Now(), True());
}

TEST_F(ServiceTimeTest, AStartYearsBackGoesOnFromTheStore) {
  wrong_ = -5 * 365 * kDay;
  StartAfter(absl::Hours(1));
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_BEHIND_STORE);
  EXPECT_EQ(Now(), absl::ZeroDuration());
  wrong_ = absl::ZeroDuration();
  Kernel(true);
  EXPECT_EQ(Now(), True());
}

TEST_F(ServiceTimeTest, AServiceMayBeOffForDays) {
  StartAfter(3 * kDay - absl::Hours(1));
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED);
  EXPECT_EQ(Now(), True());
}

TEST_F(ServiceTimeTest, OnTheSameBootTheBootClockTellsHowLong) {
  stored_ = ServiceTime::Stored{noon_, "now", Reading().boot, false};
  Pass(30 * kDay);
  Start();
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED) << "off for a month, and the clock was never wrong";
  wrong_ = absl::Hours(2);
  Pass(absl::Hours(-29 * 24));
  Start();
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_STEPPED) << "set while the service was off";
  EXPECT_LE(Now(), True());
  EXPECT_GT(Now(), True() - absl::Minutes(2));
}

TEST_F(ServiceTimeTest, ADoubtOutlivesABoot) {
  in_doubt_ = true;
  wrong_ = kDay;  // less than a service may be off for
  StartAfter(absl::Minutes(3));
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_SINCE_BEFORE_START);
  EXPECT_LE(Now(), True());
  Pass(absl::Hours(1));
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_SINCE_BEFORE_START);
}

TEST_F(ServiceTimeTest, TwoOfThreeEdgesRaiseADoubtAndEndIt) {
  Start();
  Pass(absl::Minutes(1));
  EdgesTell(3, 1);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED) << "one of three is wrong by itself";
  EdgesTell(3, 2);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_EDGES_DISAGREE);
  EXPECT_EQ(Now(), True()) << "edges move no time";
  Pass(absl::Seconds(5));
  EdgesTell(3, 2);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_EDGES_DISAGREE);
  Pass(absl::Seconds(5));
  EdgesTell(3, 1);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED);
  EXPECT_EQ(LastChange().trust, ClockTrust::kEdges);
}

TEST_F(ServiceTimeTest, EdgesAgreeOnlyByWhatTheyTellAfterwards) {
  Start();
  Pass(absl::Minutes(1));
  EdgesTell(3);
  true_ += absl::Hours(1);  // resumed from a snapshot
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_STEPPED);
  Pass(absl::Seconds(1));
  time_->JudgeEdges(Reading());
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_STEPPED);
  EdgesTell(1);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_STEPPED) << "one is not most";
  EdgesTell(2);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED);
  EXPECT_EQ(Now(), True());
}

TEST_F(ServiceTimeTest, OneEdgeEndsAndRaisesNothing) {
  Start();
  Pass(absl::Minutes(1));
  EdgesTell(1, 1);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED);
  wrong_ = absl::Hours(5);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_STEPPED);
  EdgesTell(1, 1);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_STEPPED);
}

TEST_F(ServiceTimeTest, EdgesThatHaveFallenSilentCountNoMore) {
  Start();
  EdgesTell(3);
  Pass(options_.edge_life + absl::Seconds(1));
  EXPECT_EQ(time_->WeighEdges(Reading()).told, 0);
  EdgesTell(2);
  EXPECT_EQ(time_->WeighEdges(Reading()).agree, 2);
}

TEST_F(ServiceTimeTest, TheKernelOutweighsEdgesOnlyWithANewWord) {
  Start();
  Pass(absl::Minutes(1));
  EdgesTell(3, 3);
  Kernel(true);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_EDGES_DISAGREE) << "a word from before a snapshot";
  Kernel(false);
  Kernel(true);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED);
}

TEST_F(ServiceTimeTest, AnOperatorAcceptsWhatWasLookedAt) {
  wrong_ = 400 * kDay;
  StartAfter(absl::Hours(1));
  EXPECT_EQ(base::ReasonOf(time_->Accept(Reading(), noon_ + True(), true)), "CLOCK_TIME_DIFFERS");
  EXPECT_TRUE(time_->Accept(Reading(), Reading().wall - absl::Minutes(4), false).ok());
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_AHEAD_OF_STORE) << "only looked";
  EXPECT_TRUE(time_->Accept(Reading(), Reading().wall - absl::Minutes(4), true).ok());
  EXPECT_EQ(Now(), True() + wrong_);
  EXPECT_EQ(base::ReasonOf(time_->Accept(Reading(), Reading().wall, true)), "CLOCK_NOT_IN_DOUBT");
  EXPECT_EQ(LastChange().trust, ClockTrust::kOperator);
}

TEST_F(ServiceTimeTest, AnOperatorOverrulesTheEdgesUntilTheyAgree) {
  Start();
  Pass(absl::Minutes(1));
  EdgesTell(3, 3);
  ASSERT_TRUE(time_->Accept(Reading(), Reading().wall, true).ok());
  Pass(absl::Milliseconds(500));
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED) << "nobody has been heard since";
  Pass(absl::Seconds(5));
  EdgesTell(3, 3);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_UNSPECIFIED);
  Pass(absl::Seconds(5));
  EdgesTell(3);
  Pass(absl::Seconds(5));
  EdgesTell(3, 3);
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_EDGES_DISAGREE);
}

TEST_F(ServiceTimeTest, WhoTrustsAClockThatIsFarBehindIsSetBack) {
  wrong_ = kDay;  // a new store, begun under a wrong clock
  Start();
  Pass(absl::Minutes(1));
  Now();
  wrong_ = absl::ZeroDuration();
  EXPECT_EQ(Doubt(), CLOCK_DOUBT_STEPPED);
  Kernel(true);
  EXPECT_EQ(Now(), True());
  const ClockChange change = LastChange();
  EXPECT_GT(change.from, change.to);
  EXPECT_FALSE(time_->jumped_to().has_value());
}

}  // namespace
}  // namespace tollgate::service
