#include "validator/core/question_pause.h"

#include "gtest/gtest.h"

namespace tollgate::validator {
namespace {

TokenKey KeyOf(uint64_t number) {
  TokenKey key;
  key.hash[0] = number;
  key.hash[1] = ~number;
  return key;
}

base::BootTime At(absl::Duration since_start) {
  return base::BootTime::FromNanos(1'000'000) + since_start;
}

TEST(QuestionPauseTest, EachDamagedAnswerInARowDoublesThePause) {
  QuestionPause pause;
  const TokenKey key = KeyOf(1);
  EXPECT_FALSE(pause.Pauses(key, At(absl::ZeroDuration())));
  absl::Duration now;
  for (const int seconds : {1, 2, 4, 8, 15, 15}) {
    pause.OnDamaged(key, At(now));
    EXPECT_TRUE(pause.Pauses(key, At(now)));
    now += absl::Seconds(seconds);
    EXPECT_TRUE(pause.Pauses(key, At(now - absl::Milliseconds(1)))) << seconds;
    EXPECT_FALSE(pause.Pauses(key, At(now))) << seconds;
  }
  EXPECT_FALSE(pause.Pauses(KeyOf(2), At(absl::ZeroDuration()))) << "another token does not pause";
  pause.OnAnswered(key);
  pause.OnDamaged(key, At(now));
  EXPECT_FALSE(pause.Pauses(key, At(now + absl::Seconds(1)))) << "from the beginning";
}

TEST(QuestionPauseTest, AClientInALoopCausesFewQuestions) {
  QuestionPause pause;
  int asked = 0;
  for (int i = 0; i < 60'000; ++i) {  // a check a millisecond, for a minute
    const base::BootTime now = At(absl::Milliseconds(i));
    if (pause.Pauses(KeyOf(1), now)) continue;
    ++asked;
    pause.OnDamaged(KeyOf(1), now);
  }
  EXPECT_LE(asked, 8);
}

TEST(QuestionPauseTest, IsBoundedAndForgetsWhatNobodyAsksAbout) {
  QuestionPause pause({.first = absl::Seconds(1), .longest = absl::Seconds(4), .most = 10});
  for (uint64_t i = 0; i < 10; ++i) pause.OnDamaged(KeyOf(i), At(absl::ZeroDuration()));
  pause.OnDamaged(KeyOf(10), At(absl::ZeroDuration()));
  EXPECT_FALSE(pause.Pauses(KeyOf(10), At(absl::ZeroDuration()))) << "there is no room";
  EXPECT_TRUE(pause.Pauses(KeyOf(9), At(absl::ZeroDuration())));
  pause.OnDamaged(KeyOf(10), At(absl::Seconds(3)));
  EXPECT_TRUE(pause.Pauses(KeyOf(10), At(absl::Seconds(3))));
}

}  // namespace
}  // namespace tollgate::validator
