#include "service/feed/ledger/event_marks.h"

#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

constexpr base::BootTime At(int64_t second) {
  return base::BootTime::FromNanos(second * 1'000'000'000);
}

TEST(EventMarksTest, WithoutEventsNothingIsToBeAcknowledged) {
  const EventMarks marks(10, 0, At(1));
  EXPECT_EQ(marks.LastUpTo(100), 0);
  EXPECT_EQ(marks.FirstAfter(0), absl::nullopt);
  EXPECT_EQ(marks.CountAfter(0), 0);
  EXPECT_EQ(marks.CommittedFrom(1), absl::nullopt);
}

TEST(EventMarksTest, TellsEventsApart) {
  EventMarks marks(10, 0, At(1));
  marks.Add(3, At(3));
  marks.Add(7, At(7));
  EXPECT_EQ(marks.LastUpTo(2), 0);
  EXPECT_EQ(marks.LastUpTo(3), 3);
  EXPECT_EQ(marks.LastUpTo(6), 3);
  EXPECT_EQ(marks.LastUpTo(7), 7);
  EXPECT_EQ(marks.FirstAfter(0), 3);
  EXPECT_EQ(marks.FirstAfter(3), 7);
  EXPECT_EQ(marks.FirstAfter(7), absl::nullopt);
  EXPECT_EQ(marks.CountAfter(0), 2);
  EXPECT_EQ(marks.CountAfter(3), 1);
  EXPECT_EQ(marks.CountAfter(7), 0);
  EXPECT_EQ(marks.CommittedFrom(4), At(7));
  EXPECT_EQ(marks.CommittedAt(3), At(3));
  EXPECT_EQ(marks.CommittedAt(4), absl::nullopt);
  EXPECT_EQ(marks.CommittedAt(8), absl::nullopt);
}

TEST(EventMarksTest, BelowTheLastOfTheStoreEveryRevisionCountsAsOneWithEvents) {
  const EventMarks marks(10, 90, At(1));
  EXPECT_EQ(marks.LastUpTo(50), 50);
  EXPECT_EQ(marks.LastUpTo(100), 90);
  EXPECT_EQ(marks.FirstAfter(50), 51);
  EXPECT_EQ(marks.FirstAfter(89), 90);
  EXPECT_EQ(marks.FirstAfter(90), absl::nullopt);
  EXPECT_EQ(marks.CountAfter(87), 3);
}

TEST(EventMarksTest, TooManyAskForMoreNeverForLess) {
  EventMarks marks(10, 0, At(1));
  for (int64_t r = 2; r <= 100; r += 2) marks.Add(r, At(r));
  for (int64_t r = 0; r <= 100; ++r) {
    EXPECT_GE(marks.LastUpTo(r), r / 2 * 2) << r;
    EXPECT_LE(marks.LastUpTo(r), r) << r;
    if (r < 100) {
      ASSERT_TRUE(marks.FirstAfter(r).has_value()) << r;
      EXPECT_GT(*marks.FirstAfter(r), r);
      EXPECT_LE(*marks.FirstAfter(r), r / 2 * 2 + 2) << r;
    }
  }
}

TEST(EventMarksTest, WhatIsEnforcedIsForgottenButForTheNewest) {
  EventMarks marks(1 << 20, 0, At(0));
  for (int64_t r = 2; r <= 10'000; r += 2) marks.Add(r, At(r));
  marks.ForgetUpTo(100);
  EXPECT_EQ(marks.LastUpTo(99), 99);
  EXPECT_EQ(marks.LastUpTo(103), 102) << "not enforced yet";
  marks.ForgetUpTo(10'000);
  EXPECT_EQ(marks.CommittedAt(10'000 - 2 * 4095), At(10'000 - 2 * 4095));
  EXPECT_EQ(marks.CommittedAt(10'000 - 2 * 4096), absl::nullopt);
}

}  // namespace
}  // namespace tollgate::service
