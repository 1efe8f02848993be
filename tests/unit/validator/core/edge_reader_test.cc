// The reader with nothing but a table, a lease and a clock: no validator, no stream.
#include "validator/core/edge_reader.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/validator/core/allocation_count.h"
#include "tests/unit/validator/core/edge_fixture.h"

namespace tollgate::validator {
namespace {

using namespace tollgate::v1;  // NOLINT: the enumerators are long

constexpr int64_t kServiceNow = 2'000'000'000;

// Lets something happen once, after a decision has read the boot clock and before it reads the
// lease.
class HookedClock : public HandClock {
 public:
  absl::Time WallNow() const override {
    if (hook) std::exchange(hook, nullptr)();
    return HandClock::WallNow();
  }
  mutable std::function<void()> hook;
};

class EdgeReaderTest : public ::testing::Test {
 protected:
  EdgeReaderTest() : random_(5) { Make(absl::ZeroDuration()); }
  void Make(absl::Duration fail_open_for) {
    table_ = DecisionCache::Create({64, 8, 64}, random_).value();
    lease_ = EdgeClock::Create(0.001, fail_open_for).value();
    table_->SetBrandAgreed(true);
    reader_ = std::make_unique<EdgeReader>(token::TokenFormat(), absl::Seconds(7), table_.get(),
                                           lease_.get(), &clock_);
  }
  void Renew() {
    lease_->SetServiceTime(absl::FromUnixSeconds(kServiceNow), absl::ZeroDuration(), clock_.Now());
    ASSERT_TRUE(lease_->Renew(
        lease::HeldLease{clock_.Now(), clock_.WallNow(), absl::Seconds(30), absl::Milliseconds(30)},
        clock_.Now(), clock_.WallNow()));
  }
  std::string Mint(std::string* id) {
    auto minted = token::TokenFormat().Mint(token::TokenKind::kWorkspace, random_);
    *id = minted.public_id;
    return std::string(minted.token_string.RevealSecret());
  }
  TokenKey KeyOf(const std::string& token, const std::string& id) {
    return table_->KeyOf(token, id);
  }
  // A token that the table holds, with this state.
  std::string Held(TokenState state = TOKEN_STATE_ACTIVE, int64_t expire_s = 0) {
    std::string id;
    std::string token = Mint(&id);
    Grant grant = GrantFor("acme", id);
    grant.set_state(state);
    if (expire_s != 0) grant.mutable_expire_time()->set_seconds(expire_s);
    Put(token, grant);
    last_id_ = id;
    return token;
  }
  void Put(const std::string& token, const Grant& grant) {
    DecisionCache::Place place;
    ASSERT_TRUE(table_->Insert(KeyOf(token, grant.token_id()), grant, token::PackGrant(grant), 1000,
                               &place, &gone_));
  }
  // The reason, or kMiss.
  int Reason(const std::string& token, const token::Requirement& requirement = {}) {
    if (!reader_->Decide(token, requirement, EdgeReader::Of::kCheck, &key_, &decision_))
      return kMiss;
    return decision_.reason;
  }
  static constexpr int kMiss = -1;

  HookedClock clock_;
  base::SeededRandom random_;
  std::unique_ptr<DecisionCache> table_;
  std::unique_ptr<EdgeClock> lease_;
  std::unique_ptr<EdgeReader> reader_;
  std::vector<EntryUse> gone_;
  std::string last_id_;
  TokenKey key_;
  Decision decision_;
};

TEST_F(EdgeReaderTest, AdmitsWhatIsHeldAndStampsIt) {
  Renew();
  const std::string token = Held();
  EXPECT_EQ(Reason(token, {{"deploy:write"}, {}, ""}), VERDICT_REASON_UNSPECIFIED);
  EXPECT_TRUE(decision_.admitted());
  EXPECT_FALSE(decision_.fail_open);
  token::GrantView who;
  ASSERT_TRUE(decision_.ReadIdentity(&who));
  EXPECT_EQ(who.token_id(), last_id_);
  EXPECT_EQ(Reason(token, {{}, {"admin"}, ""}), VERDICT_REASON_INSUFFICIENT_SCOPE);
  table_->CollectUse(&gone_);
  ASSERT_EQ(gone_.size(), 1u);
  EXPECT_EQ(gone_[0].uses, 1);  // the refusal is no use
  EXPECT_EQ(gone_[0].last_admit_ms, kServiceNow * 1000);
}

TEST_F(EdgeReaderTest, AMissTellsTheKeyToAskUnder) {
  Renew();
  std::string id;
  const std::string token = Mint(&id);
  ASSERT_EQ(Reason(token), kMiss);
  const TokenKey key = KeyOf(token, id);
  EXPECT_EQ(key_.hash[0], key.hash[0]);
  EXPECT_EQ(key_.hash[1], key.hash[1]);
  EXPECT_EQ(key_.id(), id);
  // What is then put in under that key is found.
  const Grant grant = GrantFor("acme", id);
  DecisionCache::Place place;
  ASSERT_TRUE(table_->Insert(key_, grant, token::PackGrant(grant), 1000, &place, &gone_));
  EXPECT_EQ(Reason(token), VERDICT_REASON_UNSPECIFIED);
}

TEST_F(EdgeReaderTest, AKindThatNoEdgeAdmitsIsRefusedBeforeTheLookUp) {
  Renew();
  for (const auto kind : {token::TokenKind::kOperator, token::TokenKind::kRefresh}) {
    const auto minted = token::TokenFormat().Mint(kind, random_);
    EXPECT_EQ(Reason(std::string(minted.token_string.RevealSecret())), VERDICT_REASON_MALFORMED);
  }
  const auto access = token::TokenFormat().Mint(token::TokenKind::kAccess, random_);
  EXPECT_EQ(Reason(std::string(access.token_string.RevealSecret())), kMiss);
}

TEST_F(EdgeReaderTest, WhatIsNoTokenStringNeedsNoLease) {
  EXPECT_EQ(Reason(""), VERDICT_REASON_NO_TOKEN);
  EXPECT_EQ(Reason("nonsense"), VERDICT_REASON_MALFORMED);
  std::string id;
  std::string token = Mint(&id);
  token.back() = token.back() == 'a' ? 'b' : 'a';
  EXPECT_EQ(Reason(token), VERDICT_REASON_MALFORMED);
  EXPECT_EQ(decision_.verdict, VERDICT_DENY);
  table_->SetBrandAgreed(false);  // it may be another's (I7)
  EXPECT_EQ(Reason(token), VERDICT_REASON_SERVICE_UNAVAILABLE);
  EXPECT_EQ(Reason("nonsense"), VERDICT_REASON_SERVICE_UNAVAILABLE);
  EXPECT_EQ(decision_.verdict, VERDICT_UNAVAILABLE);
  EXPECT_EQ(decision_.retry_after, absl::Seconds(7));
  EXPECT_EQ(Reason(""), VERDICT_REASON_NO_TOKEN);
}

TEST_F(EdgeReaderTest, WithoutALeaseOnlyTheFinalIsDenied) {  // I1, I7
  const std::string good = Held(), suspended = Held(TOKEN_STATE_SUSPENDED),
                    revoked = Held(TOKEN_STATE_REVOKED), over = Held(TOKEN_STATE_ACTIVE, 5);
  std::string id;
  const std::string unknown = Mint(&id);
  table_->InsertUnknown(KeyOf(unknown, id), 1000, &gone_);
  for (const std::string& token : {good, suspended, over, unknown, Mint(&id)}) {
    EXPECT_EQ(Reason(token), VERDICT_REASON_NO_LEASE);
    EXPECT_EQ(decision_.verdict, VERDICT_UNAVAILABLE);
  }
  EXPECT_EQ(Reason(revoked), VERDICT_REASON_REVOKED);
  Renew();
  EXPECT_EQ(Reason(suspended), VERDICT_REASON_SUSPENDED);
  EXPECT_EQ(Reason(over), VERDICT_REASON_EXPIRED);
  EXPECT_EQ(Reason(unknown), VERDICT_REASON_UNKNOWN);
}

TEST_F(EdgeReaderTest, FailOpenAdmitsAndAccusesNobody) {  // I7
  Make(absl::Minutes(2));
  Renew();
  const std::string good = Held(), suspended = Held(TOKEN_STATE_SUSPENDED);
  std::string id;
  const std::string unknown = Mint(&id);
  table_->InsertUnknown(KeyOf(unknown, id), 1000, &gone_);
  clock_.Advance(absl::Seconds(31));
  EXPECT_EQ(Reason(good), VERDICT_REASON_UNSPECIFIED);
  EXPECT_TRUE(decision_.fail_open);
  EXPECT_EQ(Reason(suspended), VERDICT_REASON_NO_LEASE);
  EXPECT_EQ(Reason(unknown), VERDICT_REASON_NO_LEASE);
  EXPECT_EQ(Reason(good, {{}, {"admin"}, ""}), VERDICT_REASON_INSUFFICIENT_SCOPE);
  EXPECT_EQ(Reason(Mint(&id)), kMiss);  // it may be asked about
}

TEST_F(EdgeReaderTest, WhatFailOpenRefusesToOpenIsNoAdmission) {
  Make(absl::Minutes(2));
  Renew();
  const std::string good = Held();
  clock_.Advance(absl::Seconds(31));
  ASSERT_TRUE(reader_->Decide(good, {}, EdgeReader::Of::kOpening, &key_, &decision_));
  EXPECT_EQ(decision_.reason, VERDICT_REASON_NO_LEASE);
  ASSERT_TRUE(reader_->DecideOpeningAgain(key_, {}, &decision_));
  EXPECT_EQ(decision_.reason, VERDICT_REASON_NO_LEASE);
  table_->CollectUse(&gone_);
  EXPECT_TRUE(gone_.empty()) << "evidence of an admission that was not";
  EXPECT_EQ(Reason(good), VERDICT_REASON_UNSPECIFIED);
  table_->CollectUse(&gone_);
  EXPECT_EQ(gone_.size(), 1u);
}

TEST_F(EdgeReaderTest, TheClockIsReadBeforeTheLeaseAndTheEntryLast) {  // R13
  Renew();
  const std::string token = Held();
  ASSERT_EQ(Reason(token), VERDICT_REASON_UNSPECIFIED);
  clock_.hook = [&] { lease_->EndLease(); };
  EXPECT_EQ(Reason(token), VERDICT_REASON_NO_LEASE);
  Renew();
  clock_.hook = [&] { table_->DropToken(last_id_, &gone_); };
  EXPECT_EQ(Reason(token), kMiss);
}

TEST_F(EdgeReaderTest, UseThatMeetsACollectionIsRecordedAgainAfterIt) {
  Renew();
  const std::string token = Held();
  clock_.hook = [&] { table_->CollectUse(&gone_); };
  ASSERT_EQ(Reason(token), VERDICT_REASON_UNSPECIFIED);
  EXPECT_TRUE(gone_.empty());
  table_->CollectUse(&gone_);
  ASSERT_EQ(gone_.size(), 1u);
  EXPECT_EQ(gone_[0].uses, 2);  // before, as far as this check knows, and after
}

TEST_F(EdgeReaderTest, ExpiryIsByTheServicesTime) {  // R18
  Renew();
  const std::string token = Held(TOKEN_STATE_ACTIVE, kServiceNow + 10);
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Reason(token), VERDICT_REASON_UNSPECIFIED);  // less the drift: not proven yet
  clock_.Advance(absl::Milliseconds(11));
  EXPECT_EQ(Reason(token), VERDICT_REASON_EXPIRED);
}

TEST_F(EdgeReaderTest, AllocatesNothing) {
  Renew();
  const std::string token = Held();
  std::string id;
  const std::string miss = Mint(&id);
  const token::Requirement requirement{{"deploy:write"}, {}, ""};
  ASSERT_EQ(Reason(token), VERDICT_REASON_UNSPECIFIED);
  const int64_t before = AllocationsOnThisThread();
  ASSERT_TRUE(reader_->Decide(token, requirement, EdgeReader::Of::kCheck, &key_, &decision_));
  ASSERT_FALSE(reader_->Decide(miss, requirement, EdgeReader::Of::kCheck, &key_, &decision_));
  EXPECT_EQ(AllocationsOnThisThread(), before);
}

}  // namespace
}  // namespace tollgate::validator
