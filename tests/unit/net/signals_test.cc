#include "net/signals.h"

#include <gtest/gtest.h>

namespace tollgate::net {
namespace {

using Meaning = SignalJudge::Meaning;

constexpr absl::Duration kMoment = absl::Milliseconds(999);
const base::BootTime kStart = base::BootTime::FromNanos(0) + absl::Hours(1);

TEST(SignalJudgeTest, AnyNumberOfTermsIsOneRequest) {
  SignalJudge judge;
  EXPECT_EQ(judge.Judge(SIGTERM, kStart), Meaning::kShutDown);
  EXPECT_EQ(judge.Judge(SIGTERM, kStart), Meaning::kSameAgain);
  EXPECT_EQ(judge.Judge(SIGHUP, kStart + absl::Hours(1)), Meaning::kSameAgain);
  EXPECT_EQ(judge.Judge(SIGTERM, kStart + absl::Hours(1)), Meaning::kSameAgain);
}

TEST(SignalJudgeTest, ASecondInterruptEndsAtOnceWhereItComesLater) {
  SignalJudge judge;
  EXPECT_EQ(judge.Judge(SIGINT, kStart), Meaning::kShutDown);
  EXPECT_EQ(judge.Judge(SIGINT, kStart), Meaning::kSameAgain);
  EXPECT_EQ(judge.Judge(SIGINT, kStart + kMoment), Meaning::kSameAgain);
  // Measured from the first: somebody who is impatient presses again and again.
  EXPECT_EQ(judge.Judge(SIGINT, kStart + absl::Seconds(1)), Meaning::kEndAtOnce);
}

TEST(SignalJudgeTest, AFirstInterruptAfterAnotherRequestIsTheSame) {
  SignalJudge judge;
  EXPECT_EQ(judge.Judge(SIGTERM, kStart), Meaning::kShutDown);
  EXPECT_EQ(judge.Judge(SIGINT, kStart + absl::Hours(1)), Meaning::kSameAgain);
  EXPECT_EQ(judge.Judge(SIGINT, kStart + absl::Hours(1) + absl::Seconds(1)), Meaning::kEndAtOnce);
}

TEST(SignalJudgeTest, QuitEndsAtOnceAndOthersMeanNothing) {
  SignalJudge judge;
  EXPECT_EQ(judge.Judge(SIGUSR1, kStart), Meaning::kNone);
  EXPECT_EQ(judge.Judge(SIGALRM, kStart), Meaning::kNone);
  EXPECT_EQ(judge.Judge(SIGRTMIN, kStart), Meaning::kNone);
  EXPECT_EQ(judge.Judge(SIGXCPU, kStart), Meaning::kShutDown);
  EXPECT_EQ(judge.Judge(SIGQUIT, kStart), Meaning::kEndAtOnce);
}

TEST(SignalNameTest, IsTheNameOrTheNumber) {
  EXPECT_EQ(SignalName(SIGTERM), "SIGTERM");
  EXPECT_EQ(SignalName(SIGUSR2), "SIGUSR2");
  EXPECT_EQ(SignalName(SIGRTMIN + 6), "signal 40");
}

}  // namespace
}  // namespace tollgate::net
