#include "service/health/store_health.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

using storage::DiskJob;
using storage::DiskJobKind;
using storage::DiskWorkUnderWay;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using What = StoreHealth::Told::What;

class StoreHealthTest : public testing::Test {
 protected:
  static base::BootTime At(absl::Duration since_start) {
    return base::BootTime::FromNanos(1'000'000'000'000) + since_start;
  }
  DiskWorkUnderWay Commit(absl::Duration since, uint32_t slot = 0) const {
    return {&commit_, At(since), slot};
  }
  // What is said at `now`, in short.
  std::vector<std::string> Said(absl::Duration now, std::vector<DiskWorkUnderWay> under_way) {
    std::vector<std::string> said;
    for (const StoreHealth::Told& told : health_.Watch(At(now), under_way)) {
      const std::string job = told.job == nullptr ? "" : absl::StrCat(" ", told.job->doing);
      const std::string took = told.took == absl::ZeroDuration()
                                   ? ""
                                   : absl::StrCat(" ", absl::FormatDuration(told.took));
      switch (told.what) {
        case What::kSlow:
          said.push_back(absl::StrCat("slow", job, took));
          break;
        case What::kEnded:
          said.push_back(absl::StrCat("ended", job, took));
          break;
        case What::kNotReady:
          said.push_back(absl::StrCat("not ready", job, took));
          break;
        case What::kReady:
          said.push_back("ready");
          break;
        case What::kDamaged:
          said.push_back(absl::StrCat("damaged ", told.damage.message()));
          break;
        case What::kStillDamaged:
          said.push_back(absl::StrCat("damaged, ", told.count, " times"));
          break;
      }
    }
    return said;
  }

  const DiskJob commit_{DiskJobKind::kWrite, "commit", "/data"};
  const DiskJob journal_{DiskJobKind::kWrite, "journal", "/other"};
  const DiskJob read_{DiskJobKind::kRead, "read", "/data"};
  const DiskJob copy_{DiskJobKind::kLong, "copy", "/backups"};
  StoreHealth health_{StoreHealth::Options()};
};

TEST_F(StoreHealthTest, WhatIsFastIsNotWorthAWord) {
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration now = absl::Milliseconds(100) * i;
    EXPECT_THAT(Said(now, {Commit(now - absl::Milliseconds(50)), Commit(now, 1)}), IsEmpty());
    EXPECT_TRUE(health_.ready());
  }
}

TEST_F(StoreHealthTest, AWriteThatHangsIsToldOfAtGrowingIntervals) {
  std::vector<std::string> said;
  bool ready_at_4 = false, ready_at_6 = true;
  for (int i = 0; i < 700; ++i) {  // 70 s
    const absl::Duration now = absl::Milliseconds(100) * i;
    for (const std::string& one : Said(now, {Commit(absl::ZeroDuration())})) said.push_back(one);
    if (i == 40) ready_at_4 = health_.ready();
    if (i == 60) ready_at_6 = health_.ready();
  }
  EXPECT_THAT(
      said, ElementsAre("slow commit 2s", "slow commit 4s", "not ready commit 5s", "slow commit 8s",
                        "slow commit 16s", "slow commit 32s", "slow commit 1m4s"));
  EXPECT_TRUE(ready_at_4);
  EXPECT_FALSE(ready_at_6);
  EXPECT_THAT(Said(absl::Seconds(70), {}), ElementsAre("ended commit 1m10s", "ready"));
  EXPECT_TRUE(health_.ready());
}

TEST_F(StoreHealthTest, ADayOfHangingIsALineAMinute) {
  size_t lines = 0;
  for (int second = 0; second < 24 * 60 * 60; ++second) {
    lines += Said(absl::Seconds(second), {Commit(absl::ZeroDuration())}).size();
  }
  EXPECT_LT(lines, 24u * 60 + 10);
  EXPECT_GT(lines, 24u * 60 - 10);
}

TEST_F(StoreHealthTest, ADiskThatIsSlowAgainAndAgainFloodsNothing) {
  // Each commit takes 3 s: 20 of them a minute, an hour long.
  size_t lines = 0;
  for (int i = 0; i < 36'000; ++i) {
    const absl::Duration now = absl::Milliseconds(100) * i;
    lines += Said(now, {Commit(absl::Floor(now, absl::Seconds(3)))}).size();
  }
  EXPECT_LE(lines, 2u * 70);
  EXPECT_GE(lines, 100u) << "it is told of all the time";
  // Once the disk has kept up for a while, the next trouble is told of at once.
  for (int i = 0; i < 700; ++i) {
    (void)Said(absl::Hours(1) + absl::Milliseconds(100) * i, {});
  }
  const absl::Duration later = absl::Hours(1) + absl::Seconds(90);
  EXPECT_THAT(Said(later + absl::Seconds(2), {Commit(later)}), ElementsAre("slow commit 2s"));
}

TEST_F(StoreHealthTest, AHangingDiskThatFlapsFloodsNothing) {
  size_t lines = 0;
  for (int i = 0; i < 36'000; ++i) {  // each commit takes 6 s
    const absl::Duration now = absl::Milliseconds(100) * i;
    lines += Said(now, {Commit(absl::Floor(now, absl::Seconds(6)))}).size();
  }
  EXPECT_LE(lines, 4u * 70);
}

TEST_F(StoreHealthTest, EachPlaceIsToldOfByItself) {
  const std::vector<DiskWorkUnderWay> both = {Commit(absl::ZeroDuration()),
                                              {&journal_, At(absl::Seconds(1)), 1}};
  EXPECT_THAT(Said(absl::Seconds(2), both), ElementsAre("slow commit 2s"));
  EXPECT_THAT(Said(absl::Seconds(3), both), ElementsAre("slow journal 2s"));
  EXPECT_THAT(Said(absl::Milliseconds(3100), {both[1]}), ElementsAre("ended commit 3.1s"));
}

TEST_F(StoreHealthTest, AnotherPieceOfTheSameJobIsNotTheOneThatWasToldOf) {
  EXPECT_THAT(Said(absl::Seconds(2), {Commit(absl::ZeroDuration())}),
              ElementsAre("slow commit 2s"));
  // In the same slot, begun later.
  EXPECT_THAT(Said(absl::Seconds(3), {Commit(absl::Milliseconds(2500))}),
              ElementsAre("ended commit 3s"));
}

TEST_F(StoreHealthTest, ReadsThatHangAreNotReadyAndCopiesMayTakeLong) {
  EXPECT_THAT(Said(absl::Seconds(6), {{&copy_, At(absl::ZeroDuration()), 0}}),
              ElementsAre("slow copy 6s"));
  EXPECT_TRUE(health_.ready());
  EXPECT_THAT(Said(absl::Seconds(12), {{&read_, At(absl::Seconds(6)), 1}}),
              UnorderedElementsAre("ended copy 12s", "slow read 6s", "not ready read 6s"));
  EXPECT_FALSE(health_.ready());
}

TEST_F(StoreHealthTest, DamageIsToldAtOnceThenCountedAndNeverForgotten) {
  EXPECT_TRUE(health_.ready());
  health_.OnDamage(absl::DataLossError("in 000012.sst"));
  EXPECT_FALSE(health_.ready());
  EXPECT_TRUE(health_.damaged());
  EXPECT_THAT(Said(absl::Seconds(1), {}), ElementsAre("damaged in 000012.sst"));
  size_t lines = 0;
  for (int i = 0; i < 100'000; ++i) {
    health_.OnDamage(absl::DataLossError("in 000012.sst"));
    lines += Said(absl::Seconds(1) + absl::Milliseconds(1) * i, {}).size();
  }
  EXPECT_EQ(lines, 1u) << "a minute of them is one line";
  EXPECT_THAT(Said(absl::Seconds(122), {}), testing::SizeIs(1));
  EXPECT_THAT(Said(absl::Hours(10), {}), IsEmpty()) << "nobody meets it any more";
  EXPECT_FALSE(health_.ready());
}

}  // namespace
}  // namespace tollgate::service
