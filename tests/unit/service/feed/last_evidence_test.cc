// What a receipt says of last admissions where evidence did not all come, or is not all kept.
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/feed/enforcement.h"
#include "token/token_string.h"

namespace tollgate {
namespace {

constexpr absl::Duration kLease = absl::Seconds(30);
const SessionId kA{"a", std::string(16, 'a')};
const SessionId kB{"b", std::string(16, 'b')};

// 16 letters, as a public id has.
std::string TokenId(int number) { return absl::StrCat("4mXp81QzR0", 100'000 + number); }

class LastEvidenceTest : public ::testing::Test {
 protected:
  LastEvidenceTest() { Begin(20'000); }
  void Begin(size_t max_evidence) {
    EnforcementLedger::Options options;
    options.epoch = "e1";
    options.lease = kLease;
    options.max_evidence = max_evidence;
    EnforcementLedger::Start start;
    start.now = now_;
    start.head = 100;
    start.longest_lease = kLease;
    start.longest_lease_before = kLease;
    ledger_ = std::make_unique<EnforcementLedger>(options, start);
    ledger_->OnStoreWrite(now_);
    Join(kA);
  }
  void Join(const SessionId& key) {
    ledger_->OnHello(key, v1::Hello(), now_);
    ledger_->OnRostered(ledger_->BeginRosterWrite(key, absl::UnixEpoch()));
    ASSERT_EQ(ledger_->GrantLease(key, 100, now_).outcome, LeaseOutcome::kGranted);
  }
  static void Say(int number, int64_t revision, v1::Ping* ping) {
    v1::DroppedAdmit* dropped = ping->add_dropped();
    dropped->set_workspace("acme");
    dropped->set_token_id(TokenId(number));
    dropped->set_revision(revision);
    dropped->mutable_last_admit_time()->set_seconds(1234);
  }
  // "said", "unknown", "none": what the receipt says of it at the first of its edges.
  std::string Told(int number, int64_t revision) {
    const v1::Receipt receipt = ledger_->ReceiptFor({revision, "acme", TokenId(number)});
    if (receipt.last_admits_size() == 0) return "none";
    return receipt.last_admits(0).unknown() ? "unknown" : "said";
  }

  BootTime now_ = BootTime::FromNanos(1'000'000'000'000);
  std::unique_ptr<EnforcementLedger> ledger_;
};

TEST_F(LastEvidenceTest, WhatIsNotReadOfAPingIsUnknownAndNotNever) {
  for (int64_t r = 101; r <= 200; ++r) ledger_->OnRevision(r, true, now_);
  v1::Ping ping;
  for (int i = 0; i < 1500; ++i) Say(i, 101 + i / 15, &ping);
  ledger_->Acknowledge(kA, 200, ping, now_);
  int said = 0;
  for (int i = 0; i < 1500; ++i) {
    const std::string told = Told(i, 101 + i / 15);
    EXPECT_EQ(told, i < 1000 ? "said" : "unknown") << i;
    said += told == "said";
  }
  EXPECT_EQ(said, 1000);
  EXPECT_EQ(Told(7000, 120), "none") << "of that revision all was said";
}

TEST_F(LastEvidenceTest, WhatAValidatorSaysItLostIsUnknown) {
  ASSERT_TRUE(ledger_->head() == 100);
  for (int64_t r = 101; r <= 110; ++r) ledger_->OnRevision(r, true, now_);
  v1::Ping ping;
  Say(1, 105, &ping);
  ping.set_lost_from_revision(103);
  ping.set_lost_to_revision(106);
  ledger_->Acknowledge(kA, 110, ping, now_);
  EXPECT_EQ(Told(2, 102), "none");
  EXPECT_EQ(Told(2, 103), "unknown");
  EXPECT_EQ(Told(1, 105), "said");  // of this one it did say
  EXPECT_EQ(Told(2, 105), "unknown");
  EXPECT_EQ(Told(2, 106), "unknown");
  EXPECT_EQ(Told(2, 107), "none");
}

TEST_F(LastEvidenceTest, OfTwoProcessesOfOneEdgeTheOneThatLostMakesItUnknown) {
  const SessionId twin{"a", std::string(16, 'z')};
  Join(twin);
  ledger_->OnRevision(101, true, now_);
  v1::Ping ping;
  Say(1, 101, &ping);
  ledger_->Acknowledge(kA, 101, ping, now_);
  EXPECT_EQ(Told(1, 101), "unknown") << "the other has not acknowledged";
  v1::Ping lost;
  lost.set_lost_from_revision(101);
  lost.set_lost_to_revision(101);
  ledger_->Acknowledge(twin, 101, lost, now_);
  EXPECT_EQ(Told(1, 101), "unknown");
}

TEST_F(LastEvidenceTest, WhatTheLedgerForgetsTooEarlyIsUnknown) {
  Begin(100);
  ledger_->OnRevision(101, true, now_);
  ledger_->OnRevision(102, true, now_);
  v1::Ping ping;
  Say(0, 101, &ping);
  for (int i = 1; i <= 100; ++i) Say(i, 102, &ping);
  ledger_->Acknowledge(kA, 102, ping, now_);
  EXPECT_EQ(Told(0, 101), "unknown");
  EXPECT_EQ(Told(1, 102), "said");
  EXPECT_EQ(Told(9000, 102), "none");
  // Long after, use reports have told: nothing becomes unknown by that.
  now_ = now_ + absl::Minutes(5);
  ledger_->OnRevision(103, true, now_);
  v1::Ping later;
  for (int i = 0; i < 100; ++i) Say(i, 103, &later);
  ledger_->Acknowledge(kA, 103, later, now_);
  EXPECT_EQ(Told(1, 102), "none");
}

TEST_F(LastEvidenceTest, ManyLossesFarApartGrowTogetherAndLoseNothing) {
  for (int64_t r = 101; r <= 400; ++r) ledger_->OnRevision(r, true, now_);
  for (int64_t r = 101; r <= 400; r += 3) {
    v1::Ping lost;
    lost.set_lost_from_revision(r);
    lost.set_lost_to_revision(r);
    ledger_->Acknowledge(kA, r, lost, now_);
  }
  ledger_->Acknowledge(kA, 400, v1::Ping(), now_);
  for (int64_t r = 101; r <= 400; r += 3) EXPECT_EQ(Told(1, r), "unknown") << r;
  EXPECT_EQ(Told(1, 399), "none") << "the newest are told apart";
}

}  // namespace
}  // namespace tollgate
