#include "validator/core/decision_counts.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace tollgate::validator {
namespace {

using namespace tollgate::v1;  // NOLINT: the enumerators are long

TEST(DecisionCountsTest, EachDecisionIsInEverySumItBelongsTo) {
  DecisionCounts counts;
  counts.CountAdmit(/*fail_open=*/false, /*from_memory=*/true);
  counts.CountAdmit(false, true);
  counts.CountAdmit(false, false);
  counts.CountAdmit(true, true);
  counts.CountAdmit(true, false);
  counts.CountRefusal(VERDICT_REASON_REVOKED, true);
  counts.CountRefusal(VERDICT_REASON_REVOKED, false);
  counts.CountRefusal(VERDICT_REASON_NO_LEASE, true);
  counts.CountRefusal(static_cast<VerdictReason>(99), true);  // of a newer build
  counts.CountMiss();
  const DecisionTotals totals = counts.Totals();
  EXPECT_EQ(totals.admitted, 5);
  EXPECT_EQ(totals.admitted_fail_open, 2);
  EXPECT_EQ(totals.from_memory, 6);
  EXPECT_EQ(totals.misses, 1);
  EXPECT_EQ(totals.refused[VERDICT_REASON_REVOKED], 2);
  EXPECT_EQ(totals.refused[VERDICT_REASON_NO_LEASE], 1);
  EXPECT_EQ(totals.refused[0], 1);
  EXPECT_EQ(totals.decisions(), 9);
}

// More threads than shards, read meanwhile: nothing is lost, and no sum ever goes back.
TEST(DecisionCountsTest, ManyThreadsLoseNothingAndSumsOnlyGrow) {
  constexpr int kThreads = 20;
  constexpr int kEach = 5000;
  DecisionCounts counts;
  std::atomic<int> running{kThreads};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        if (i % 2 == 0) {
          counts.CountAdmit(/*fail_open=*/i % 4 == 0, /*from_memory=*/t % 2 == 0);
        } else {
          counts.CountRefusal(VERDICT_REASON_EXPIRED, t % 2 == 0);
        }
      }
      --running;
    });
  }
  DecisionTotals last;
  bool grew = true;
  while (running > 0) {
    const DecisionTotals now = counts.Totals();
    grew = grew && now.admitted >= last.admitted && now.from_memory >= last.from_memory &&
           now.admitted_fail_open >= last.admitted_fail_open && now.decisions() >= last.decisions();
    last = now;
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(grew);
  const DecisionTotals totals = counts.Totals();
  EXPECT_EQ(totals.admitted, kThreads * kEach / 2);
  EXPECT_EQ(totals.admitted_fail_open, kThreads * kEach / 4);
  EXPECT_EQ(totals.refused[VERDICT_REASON_EXPIRED], kThreads * kEach / 2);
  EXPECT_EQ(totals.from_memory, kThreads * kEach / 2);
}

}  // namespace
}  // namespace tollgate::validator
