// What is told of last admissions where evidence did not all come, or is not all kept.
#include "service/feed/ledger/last_admissions.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

const lease::SessionId kA{"a", std::string(16, 'a')};

// 16 letters, as a public id has.
std::string TokenId(int number) { return absl::StrCat("4mXp81QzR0", 100'000 + number); }

class LastAdmissionsTest : public ::testing::Test {
 protected:
  void Begin(size_t max_evidence) { admissions_ = std::make_unique<LastAdmissions>(max_evidence); }
  static void Say(int number, int64_t revision, v1::Ping* ping) {
    v1::DroppedAdmit* dropped = ping->add_dropped();
    dropped->set_workspace("acme");
    dropped->set_token_id(TokenId(number));
    dropped->set_revision(revision);
    dropped->mutable_last_admit_time()->set_seconds(1234);
  }
  static v1::Ping Lost(int64_t first, int64_t last) {
    v1::Ping ping;
    ping.set_lost_from_revision(first);
    ping.set_lost_to_revision(last);
    return ping;
  }
  // "said", "unknown", "none": what is told of it at the first of its edges.
  std::string Told(int number, int64_t revision, const std::vector<std::string>& unheard = {}) {
    const std::vector<v1::LastAdmit> rows =
        admissions_->RowsOf(revision, "acme", TokenId(number), unheard);
    if (rows.empty()) return "none";
    return rows.front().unknown() ? "unknown" : "said";
  }

  base::BootTime now_ = base::BootTime::FromNanos(1'000'000'000'000);
  std::unique_ptr<LastAdmissions> admissions_ = std::make_unique<LastAdmissions>(20'000);
};

TEST_F(LastAdmissionsTest, WhatIsNotReadOfAPingIsUnknownAndNotNever) {
  v1::Ping ping;
  for (int i = 0; i < 1500; ++i) Say(i, 101 + i / 15, &ping);
  admissions_->Remember(kA, ping, now_);
  int said = 0;
  for (int i = 0; i < 1500; ++i) {
    const std::string told = Told(i, 101 + i / 15);
    EXPECT_EQ(told, i < 1000 ? "said" : "unknown") << i;
    said += told == "said";
  }
  EXPECT_EQ(said, 1000);
  EXPECT_EQ(Told(7000, 120), "none") << "of that revision all was said";
}

TEST_F(LastAdmissionsTest, WhatAValidatorSaysItLostIsUnknown) {
  v1::Ping ping = Lost(103, 106);
  Say(1, 105, &ping);
  admissions_->Remember(kA, ping, now_);
  EXPECT_EQ(Told(2, 102), "none");
  EXPECT_EQ(Told(2, 103), "unknown");
  EXPECT_EQ(Told(1, 105), "said");  // of this one it did say
  EXPECT_EQ(Told(2, 105), "unknown");
  EXPECT_EQ(Told(2, 106), "unknown");
  EXPECT_EQ(Told(2, 107), "none");
}

TEST_F(LastAdmissionsTest, OfTwoProcessesOfOneEdgeTheOneThatLostMakesItUnknown) {
  const lease::SessionId twin{"a", std::string(16, 'z')};
  v1::Ping ping;
  Say(1, 101, &ping);
  admissions_->Remember(kA, ping, now_);
  EXPECT_EQ(Told(1, 101), "said");
  EXPECT_EQ(Told(1, 101, {"a"}), "unknown") << "the other has not acknowledged";
  admissions_->Remember(twin, Lost(101, 101), now_);
  EXPECT_EQ(Told(1, 101), "unknown");
}

TEST_F(LastAdmissionsTest, WhatIsForgottenTooEarlyIsUnknown) {
  Begin(100);
  v1::Ping ping;
  Say(0, 101, &ping);
  for (int i = 1; i <= 100; ++i) Say(i, 102, &ping);
  admissions_->Remember(kA, ping, now_);
  EXPECT_EQ(Told(0, 101), "unknown");
  EXPECT_EQ(Told(1, 102), "said");
  EXPECT_EQ(Told(9000, 102), "none");
  // Long after, use reports have told: nothing becomes unknown by that.
  now_ = now_ + absl::Minutes(5);
  v1::Ping later;
  for (int i = 0; i < 100; ++i) Say(i, 103, &later);
  admissions_->Remember(kA, later, now_);
  EXPECT_EQ(Told(1, 102), "none");
}

TEST_F(LastAdmissionsTest, ManyLossesFarApartGrowTogetherAndLoseNothing) {
  for (int64_t r = 101; r <= 400; r += 3) admissions_->Remember(kA, Lost(r, r), now_);
  for (int64_t r = 101; r <= 400; r += 3) EXPECT_EQ(Told(1, r), "unknown") << r;
  EXPECT_EQ(Told(1, 399), "none") << "the newest are told apart";
}

TEST_F(LastAdmissionsTest, WhatASessionLostIsForgottenWithIt) {
  Begin(1);
  admissions_->Remember(kA, Lost(101, 101), now_);
  v1::Ping ping;
  Say(1, 102, &ping);
  admissions_->Remember(kA, ping, now_);
  admissions_->Forget(kA);
  EXPECT_EQ(Told(1, 101), "none");
  EXPECT_EQ(Told(1, 102), "said");
  // Evidence of a session that is not known any more goes without a trace.
  v1::Ping other;
  Say(2, 103, &other);
  admissions_->Remember({"b", std::string(16, 'b')}, other, now_);
  EXPECT_EQ(Told(1, 102), "none");
}

TEST_F(LastAdmissionsTest, I5EvidenceOfWhatCanBeNoTokenIsNotKept) {
  v1::Ping ping;
  const auto drop = [&](const std::string& workspace, const std::string& token, int64_t at) {
    v1::DroppedAdmit* dropped = ping.add_dropped();
    dropped->set_workspace(workspace);
    dropped->set_token_id(token);
    dropped->set_revision(101);
    dropped->mutable_last_admit_time()->set_seconds(at);
  };
  const std::string id = TokenId(1);
  const std::string huge(1 << 20, 'a');
  drop(huge, id, 1);
  drop("acme", huge, 1);
  drop("acme", id, INT64_MAX);
  admissions_->Remember(kA, ping, now_);
  EXPECT_TRUE(admissions_->RowsOf(101, huge, id, {}).empty());
  EXPECT_TRUE(admissions_->RowsOf(101, "acme", huge, {}).empty());
  const std::vector<v1::LastAdmit> rows = admissions_->RowsOf(101, "acme", id, {});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_FALSE(rows[0].has_last_admit_time());
}

TEST_F(LastAdmissionsTest, NoMoreThanAHundredEdgesAreNamed) {
  std::vector<std::string> unheard;
  for (int i = 0; i < 500; ++i) unheard.push_back(absl::StrCat("edge-", i));
  EXPECT_EQ(admissions_->RowsOf(101, "acme", TokenId(1), unheard).size(), 100u);
}

}  // namespace
}  // namespace tollgate::service
