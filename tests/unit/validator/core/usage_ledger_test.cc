#include "validator/core/usage_ledger.h"

#include "gtest/gtest.h"

namespace tollgate::validator {
namespace {

EntryUse Use(const char* id, int64_t ms, int64_t uses) { return EntryUse{"w", id, ms, uses}; }

TEST(UsageLedgerTest, MergesMaximaAndSums) {
  UsageLedger ledger(10);
  ledger.Add({Use("a", 5000, 2), Use("a", 4000, 3)});
  ledger.Add({Use("a", 6001, 1), Use("b", 0, 1), Use("c", 7000, 0)});
  const auto reports = ledger.Take(100, absl::FromUnixMillis(9000));
  ASSERT_EQ(reports.size(), 1u);
  ASSERT_EQ(reports[0].uses_size(), 1);
  EXPECT_EQ(reports[0].uses(0).count(), 6);
  EXPECT_EQ(reports[0].uses(0).last_used_time().seconds(), 6);
  EXPECT_EQ(reports[0].uses(0).last_used_time().nanos(), 1'000'000);
  EXPECT_EQ(reports[0].complete_until().seconds(), 9);
}

TEST(UsageLedgerTest, WhatIsHeldOpenIsUsedAndNotAdmitted) {
  UsageLedger ledger(3);
  ledger.Add({Use("a", 5000, 2)});
  ledger.AddHeld({{"w", "a"}, {"w", "b"}}, 8000);
  EXPECT_EQ(ledger.LastMs("w", "a"), 5000);
  EXPECT_EQ(ledger.LastMs("w", "b"), 0);
  const auto reports = ledger.Take(100, absl::FromUnixMillis(8000));
  ASSERT_EQ(reports[0].uses_size(), 2);
  for (const auto& use : reports[0].uses()) {
    EXPECT_EQ(use.count(), use.token_id() == "a" ? 2 : 0);
    EXPECT_EQ(use.last_used_time().seconds(), 8);
  }
  EXPECT_TRUE(reports[0].has_complete_until());
  // What finds no room is no silence.
  ledger.AddHeld({{"w", "c"}, {"w", "d"}}, 9000);
  EXPECT_FALSE(ledger.Take(100, absl::FromUnixMillis(9000))[0].has_complete_until());
}

TEST(UsageLedgerTest, WhatWasLostGoesAgainWithWhatCameSince) {
  UsageLedger ledger(10);
  ledger.Add({Use("a", 5000, 2)});
  ledger.Take(100, absl::FromUnixMillis(9000));
  EXPECT_EQ(ledger.LastMs("w", "a"), 5000);
  ledger.Add({Use("a", 6000, 1)});
  EXPECT_EQ(ledger.LastMs("w", "a"), 6000);
  ledger.Lost();
  EXPECT_EQ(ledger.Take(100, absl::FromUnixMillis(9500))[0].uses(0).count(), 3);
  ledger.Confirm();
  EXPECT_EQ(ledger.LastMs("w", "a"), 0);
  EXPECT_EQ(ledger.Take(100, absl::FromUnixMillis(9600))[0].uses_size(), 0);
}

TEST(UsageLedgerTest, LongReportsAreSplitAndOnlyTheLastIsComplete) {
  UsageLedger ledger(10);
  for (const char* id : {"a", "b", "c", "d", "e"}) ledger.Add({Use(id, 5000, 1)});
  const auto reports = ledger.Take(2, absl::FromUnixMillis(9000));
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_FALSE(reports[0].has_complete_until());
  EXPECT_FALSE(reports[1].has_complete_until());
  EXPECT_TRUE(reports[2].has_complete_until());
}

TEST(UsageLedgerTest, BeyondTheBoundSilenceProvesNothing) {
  UsageLedger ledger(1);
  ledger.Add({Use("a", 5000, 1), Use("b", 5000, 4)});
  EXPECT_EQ(ledger.size(), 1u);
  EXPECT_EQ(ledger.lost(), 4);
  EXPECT_FALSE(ledger.Take(10, absl::FromUnixMillis(9000))[0].has_complete_until());
  ledger.Confirm();
  // Nor later: to be complete until then would be to know of b's use too.
  EXPECT_FALSE(ledger.Take(10, absl::FromUnixMillis(99000))[0].has_complete_until());
}

TEST(UsageLedgerTest, WithoutTheServicesTimeNothingIsComplete) {
  UsageLedger ledger(1);
  EXPECT_FALSE(ledger.Take(10, absl::InfinitePast())[0].has_complete_until());
}

TokenAttempts Attempts(const char* id, int64_t first_ms, int64_t last_ms, int64_t count) {
  return {"w", id, tollgate::v1::VERDICT_REASON_REVOKED, first_ms, last_ms, count};
}

TEST(UsageLedgerTest, AttemptsGoWithUseAndAgainWhenTheirReportWasLost) {
  UsageLedger ledger(10);
  ledger.AddAttempts({Attempts("a", 5000, 6000, 2)});
  ledger.Take(100, absl::FromUnixMillis(9000));
  ledger.AddAttempts({Attempts("a", 7000, 8001, 1)});
  ledger.Lost();
  auto reports = ledger.Take(100, absl::FromUnixMillis(9500));
  ASSERT_EQ(reports[0].attempts_size(), 1);
  EXPECT_EQ(reports[0].attempts(0).workspace(), "w");
  EXPECT_EQ(reports[0].attempts(0).token_id(), "a");
  EXPECT_EQ(reports[0].attempts(0).reason(), tollgate::v1::VERDICT_REASON_REVOKED);
  EXPECT_EQ(reports[0].attempts(0).count(), 3);
  EXPECT_EQ(reports[0].attempts(0).first_attempt_time().seconds(), 5);
  EXPECT_EQ(reports[0].attempts(0).last_attempt_time().seconds(), 8);
  EXPECT_EQ(reports[0].attempts(0).last_attempt_time().nanos(), 1'000'000);
  EXPECT_EQ(ledger.attempts_reported(), 0);
  ledger.Confirm();
  EXPECT_EQ(ledger.attempts_reported(), 3);
  EXPECT_EQ(ledger.Take(100, absl::FromUnixMillis(9600))[0].attempts_size(), 0);
}

TEST(UsageLedgerTest, AddressesGoWithTheirAttemptsAtMostFourAndTheLatest) {
  UsageLedger ledger(10);
  const auto from = [](const char* text, int64_t last_ms, int64_t count) {
    return AttemptsFrom{base::IpAddress::FromText(text), last_ms, count};
  };
  TokenAttempts first = Attempts("a", 5000, 6000, 7);
  first.from = {from("192.0.2.1", 6000, 2), from("2001:db8::1", 5000, 5)};
  ledger.AddAttempts({first});
  ledger.Take(100, absl::FromUnixMillis(9000));
  TokenAttempts second = Attempts("a", 7000, 9000, 9);
  second.from = {from("192.0.2.9", 9000, 1), from("192.0.2.8", 8000, 1), from("192.0.2.1", 7500, 1),
                 from("192.0.2.7", 7000, 1)};
  ledger.AddAttempts({second});
  ledger.Lost();
  auto reports = ledger.Take(100, absl::FromUnixMillis(9500));
  const auto& told = reports[0].attempts(0).addresses();
  ASSERT_EQ(told.size(), 4);
  EXPECT_EQ(told[0].address(), "192.0.2.9");
  EXPECT_EQ(told[1].address(), "192.0.2.8");
  EXPECT_EQ(told[2].address(), "192.0.2.1");
  EXPECT_EQ(told[2].count(), 3);
  EXPECT_EQ(told[2].last_time().nanos(), 500'000'000);
  EXPECT_EQ(told[3].address(), "192.0.2.7");
  // Forgotten also where a report is out.
  ledger.ForgetAddresses("other");
  ledger.Lost();
  EXPECT_EQ(ledger.Take(100, absl::InfinitePast())[0].attempts(0).addresses_size(), 4);
  ledger.ForgetAddresses("w");
  ledger.Lost();
  reports = ledger.Take(100, absl::InfinitePast());
  EXPECT_EQ(reports[0].attempts(0).count(), 16);
  EXPECT_EQ(reports[0].attempts(0).addresses_size(), 0);
}

TEST(UsageLedgerTest, AttemptsBeyondTheBoundAreLeftOutAndSayNothingOfUse) {
  UsageLedger ledger(10, 2);
  ledger.AddAttempts({Attempts("a", 5000, 5000, 1), Attempts("b", 5000, 5000, 1)});
  ledger.Take(100, absl::FromUnixMillis(9000));
  ledger.AddAttempts({Attempts("c", 6000, 6000, 4)});
  EXPECT_EQ(ledger.attempts_left_out(), 4);
  EXPECT_TRUE(ledger.Take(100, absl::FromUnixMillis(9000))[0].has_complete_until());
}

TEST(UsageLedgerTest, UsesAndAttemptsShareTheLengthOfAReport) {
  UsageLedger ledger(10);
  ledger.Add({Use("a", 5000, 1), Use("b", 5000, 1), Use("c", 5000, 1)});
  ledger.AddAttempts({Attempts("a", 5000, 5000, 1), Attempts("b", 5000, 5000, 1)});
  const auto reports = ledger.Take(2, absl::FromUnixMillis(9000));
  ASSERT_EQ(reports.size(), 3u);
  for (const auto& report : reports) EXPECT_LE(report.uses_size() + report.attempts_size(), 2);
  EXPECT_FALSE(reports[1].has_complete_until());
  EXPECT_TRUE(reports[2].has_complete_until());
}

}  // namespace
}  // namespace tollgate::validator
