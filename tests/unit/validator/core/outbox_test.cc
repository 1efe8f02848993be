// How much evidence one ping carries, and what it then acknowledges, is in follower_evidence_test.
#include "validator/core/outbox.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace tollgate::validator {
namespace {

using tollgate::v1::Ping;

EntryUse Use(const std::string& id, int64_t ms, int64_t uses) { return {"w", id, ms, uses}; }

class OutboxTest : public ::testing::Test {
 protected:
  OutboxTest() : outbox_(OutboxOptions()) {}
  Ping Fill(int64_t applied) {
    Ping ping;
    more_ = outbox_.FillPing(++sequence_, applied, &ping);
    return ping;
  }

  Outbox outbox_;
  uint64_t sequence_ = 0;
  bool more_ = false;
};

TEST_F(OutboxTest, EvidenceIsOfWhatTheEntryTold) {
  // Another string under the same id, and another workspace's token: nothing of theirs.
  outbox_.TokenDropped("w", "a", 11, {Use("a", 5250, 0), Use("a", 4000, 2), {"v", "a", 9000, 1}});
  const Ping ping = Fill(11);
  ASSERT_EQ(ping.dropped_size(), 1);
  EXPECT_EQ(ping.dropped(0).workspace(), "w");
  EXPECT_EQ(ping.dropped(0).token_id(), "a");
  EXPECT_EQ(ping.dropped(0).revision(), 11);
  EXPECT_EQ(ping.dropped(0).last_admit_time().seconds(), 5);
  EXPECT_EQ(ping.dropped(0).last_admit_time().nanos(), 250'000'000);
  EXPECT_EQ(ping.applied_revision(), 11);
  EXPECT_FALSE(more_);
}

TEST_F(OutboxTest, WhatWasNeverAdmittedIsNoEvidence) {
  outbox_.TokenDropped("w", "a", 11, {});
  EXPECT_EQ(Fill(11).dropped_size(), 0);
}

TEST_F(OutboxTest, UseThatLeftTheTableBeforeIsEvidenceUntilItHasArrived) {
  outbox_.AddUse({Use("a", 6000, 1)});
  outbox_.TokenDropped("w", "a", 11, {});
  ASSERT_EQ(Fill(11).dropped_size(), 1);
  outbox_.TakeUsage(absl::InfinitePast());
  outbox_.TokenDropped("w", "a", 12, {});
  ASSERT_EQ(Fill(12).dropped_size(), 1);
  outbox_.Arrived(sequence_);
  outbox_.TokenDropped("w", "a", 13, {});
  EXPECT_EQ(Fill(13).dropped_size(), 0);  // the service knows
}

TEST_F(OutboxTest, AReportHasArrivedWithAPingWrittenAfterIt) {
  outbox_.AddUse({Use("a", 6000, 3)});
  Fill(10);
  const auto reports = outbox_.TakeUsage(absl::FromUnixSeconds(7));
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].uses(0).count(), 3);
  EXPECT_EQ(reports[0].complete_until().seconds(), 7);
  EXPECT_TRUE(outbox_.report_is_out());
  outbox_.Arrived(1);
  EXPECT_TRUE(outbox_.report_is_out());
  Fill(10);
  Fill(10);
  outbox_.Arrived(1);  // of the ping before it
  EXPECT_TRUE(outbox_.report_is_out());
  outbox_.Arrived(2);
  EXPECT_FALSE(outbox_.report_is_out());
  EXPECT_EQ(outbox_.unreported(), 0u);
}

TEST_F(OutboxTest, AStreamsEndSendsAllOfItAgain) {
  outbox_.TokenDropped("w", "a", 11, {Use("a", 5000, 2)});
  outbox_.LoseEvidence(8, 9);
  outbox_.TakeUsage(absl::InfinitePast());
  Ping ping = Fill(11);
  EXPECT_EQ(ping.lost_from_revision(), 8);
  EXPECT_EQ(ping.dropped_size(), 1);
  ping = Fill(11);
  EXPECT_EQ(ping.lost_from_revision(), 0);
  EXPECT_EQ(ping.dropped_size(), 0);
  outbox_.StreamEnded();
  sequence_ = 0;
  EXPECT_FALSE(outbox_.report_is_out());
  EXPECT_EQ(outbox_.TakeUsage(absl::InfinitePast())[0].uses(0).count(), 2);
  ping = Fill(11);
  EXPECT_EQ(ping.lost_from_revision(), 8);
  EXPECT_EQ(ping.lost_to_revision(), 9);
  EXPECT_EQ(ping.dropped_size(), 1);
  outbox_.Arrived(1);
  outbox_.StreamEnded();
  ping = Fill(11);
  EXPECT_EQ(ping.lost_from_revision(), 0);
  EXPECT_EQ(ping.dropped_size(), 0);
}

TEST_F(OutboxTest, ALossAddedMeanwhileIsToldAgain) {
  outbox_.LoseEvidence(8, 9);
  Fill(11);
  outbox_.LoseEvidence(12, 14);
  const Ping ping = Fill(14);
  EXPECT_EQ(ping.lost_from_revision(), 8);
  EXPECT_EQ(ping.lost_to_revision(), 14);
  outbox_.Arrived(1);  // told of the first alone
  outbox_.StreamEnded();
  EXPECT_EQ(Fill(14).lost_to_revision(), 14);
}

TEST_F(OutboxTest, FirstUntoldIsTheLowestOfAll) {
  EXPECT_EQ(outbox_.FirstUntold(20), 20);
  outbox_.TokenDropped("w", "a", 15, {Use("a", 5000, 1)});
  EXPECT_EQ(outbox_.FirstUntold(20), 15);
  EXPECT_EQ(outbox_.FirstUntold(3), 3);
  outbox_.LoseEvidence(12, 13);
  EXPECT_EQ(outbox_.FirstUntold(20), 12);
  Fill(20);
  outbox_.Arrived(1);
  EXPECT_EQ(outbox_.FirstUntold(20), 20);
}

TEST_F(OutboxTest, AnotherHistoryForgetsEvidenceAndKeepsUse) {
  outbox_.TokenDropped("w", "a", 15, {Use("a", 5000, 1)});
  outbox_.LoseEvidence(12, 13);
  outbox_.ForgetEvidence();
  const Ping ping = Fill(20);
  EXPECT_EQ(ping.dropped_size(), 0);
  EXPECT_EQ(ping.lost_from_revision(), 0);
  EXPECT_EQ(outbox_.TakeUsage(absl::InfinitePast())[0].uses_size(), 1);
}

TEST_F(OutboxTest, AttemptsTravelAsUseDoes) {
  outbox_.AddAttempts({{"w", "a", tollgate::v1::VERDICT_REASON_EXPIRED, 5000, 6000, 2}});
  EXPECT_EQ(outbox_.TakeUsage(absl::InfinitePast())[0].attempts(0).count(), 2);
  outbox_.StreamEnded();  // it may not have arrived
  EXPECT_EQ(outbox_.TakeUsage(absl::InfinitePast())[0].attempts(0).count(), 2);
  Fill(10);
  outbox_.Arrived(sequence_);
  EXPECT_EQ(outbox_.attempts_reported(), 2);
  EXPECT_EQ(outbox_.TakeUsage(absl::InfinitePast())[0].attempts_size(), 0);
  EXPECT_EQ(outbox_.attempts_left_out(), 0);
}

}  // namespace
}  // namespace tollgate::validator
