#include "validator/core/edge_state.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/validator/core/edge_fixture.h"

namespace tollgate::validator {
namespace {

using Found = DecisionCache::Found;
using tollgate::v1::Ping;
using tollgate::v1::ResolveResponse;

constexpr char kId[] = "0123456789abcdef";
constexpr char kOther[] = "fedcba9876543210";

class EdgeStateTest : public ::testing::Test {
 protected:
  EdgeStateTest()
      : random_(5),
        table_(DecisionCache::Create({64, 8, 64}, random_).value()),
        lease_(EdgeClock::Create(0.001, absl::ZeroDuration()).value()),
        resolver_(ResolverOptions{"edge-1", 4, 8, 3}),
        outbox_(OutboxOptions()),
        state_(table_.get(), lease_.get(), &resolver_, &outbox_, &counts_, &attempts_) {}

  TokenKey KeyFor(const std::string& id) { return table_->KeyOf("tgw_" + id + "secret", id); }
  void Keep(const std::string& id, const std::string& owner = "team-a") {
    const auto grant = GrantFor("acme", id, owner);
    ASSERT_TRUE(state_.Keep(KeyFor(id), grant, token::PackGrant(grant), 1000, &place_));
  }
  Found Look(const std::string& id) {
    GrantBuffer buffer;
    DecisionCache::Place place;
    return table_->Find(KeyFor(id), &buffer, &place);
  }
  // Asks about kId at revision 10; `since` happens; whether an answer of revision 10 is then used.
  template <typename Since>
  bool StillUsable(Since since) {
    Resolver::Waiter waiter;
    Resolver::Question question;
    EXPECT_EQ(
        resolver_.Join(KeyFor(kId), token::EdgeDigest::Of("x"), {"e1", "", 10}, waiter, &question),
        Resolver::Joined::kAsk);
    since();
    ResolveResponse answer;
    answer.set_epoch("e1");
    answer.set_revision(10);
    *answer.mutable_grant() = GrantFor("acme", kId);
    const bool usable = resolver_.OnAnswer(question.id, answer, {"e1", "", 12}).usable;
    if (!usable) resolver_.OnAnswer(question.id, absl::UnavailableError(""), {"e1", "", 12});
    return usable;
  }
  Ping Told() {
    Ping ping;
    outbox_.FillPing(1, 100, &ping);
    return ping;
  }

  base::SeededRandom random_;
  HandClock clock_;
  DecisionCounts counts_;
  AttemptTable attempts_;
  std::unique_ptr<DecisionCache> table_;
  std::unique_ptr<EdgeClock> lease_;
  Resolver resolver_;
  Outbox outbox_;
  EdgeState state_;
  DecisionCache::Place place_;
};

TEST_F(EdgeStateTest, ACollectionTakesTheRefusedAttemptsAlong) {
  attempts_.Add("acme", kId, tollgate::v1::VERDICT_REASON_REVOKED, 5000);
  state_.CollectUse(clock_.Now());
  const auto reports = outbox_.TakeUsage(absl::InfinitePast());
  ASSERT_EQ(reports[0].attempts_size(), 1);
  EXPECT_EQ(reports[0].attempts(0).token_id(), kId);
}

TEST_F(EdgeStateTest, ATokensEventDropsItRaisesTheNeedAndTellsItsUse) {  // R10, R12
  for (const bool created : {false, true}) {
    const auto event = created ? Created("acme", kId) : Changed("acme", kId);
    Keep(kOther);
    Keep(kId);
    ASSERT_TRUE(table_->RecordAdmit(place_, 5000));
    EXPECT_FALSE(StillUsable([&] { state_.Drop(11, event); }));
    EXPECT_EQ(Look(kId), Found::kMiss);
    EXPECT_EQ(Look(kOther), Found::kGrant);
    const Ping ping = Told();
    ASSERT_EQ(ping.dropped_size(), 1);
    EXPECT_EQ(ping.dropped(0).token_id(), kId);
    EXPECT_EQ(ping.dropped(0).last_admit_time().seconds(), 5);
    outbox_.ForgetEvidence();
    EXPECT_TRUE(StillUsable([&] { state_.Drop(11, Changed("acme", kOther)); }));
  }
}

TEST_F(EdgeStateTest, ACreationDropsWhatWasUnknown) {
  state_.KeepUnknown(KeyFor(kId), 1000);
  EXPECT_EQ(Look(kId), Found::kUnknown);
  state_.Drop(11, Created("acme", kId));
  EXPECT_EQ(Look(kId), Found::kMiss);
  EXPECT_EQ(Told().dropped_size(), 0);
}

TEST_F(EdgeStateTest, ACohortIsComparedByItsOwnRevisionAndIndex) {  // R13
  Keep(kId);                                                        // created at (3, 1)
  state_.Drop(3, Cohort("acme", "", 1));
  state_.Drop(11, Cohort("acme", "team-b"));
  state_.Drop(11, Cohort("other", ""));
  EXPECT_EQ(Look(kId), Found::kGrant);
  state_.Drop(3, Cohort("acme", "", 2));
  EXPECT_EQ(Look(kId), Found::kMiss);
  EXPECT_FALSE(StillUsable([&] { state_.Drop(11, Cohort("acme", "team-a")); }));
  EXPECT_TRUE(StillUsable([&] { state_.Drop(11, Cohort("acme", "team-b")); }));
}

TEST_F(EdgeStateTest, AWorkspacesChangeDropsItsGrantsAndNothingElse) {  // R10, R12
  Keep(kId);
  ASSERT_TRUE(table_->RecordAdmit(place_, 5000));
  state_.KeepUnknown(KeyFor(kOther), 1000);
  state_.Drop(11, PolicyChanged("other"));
  EXPECT_EQ(Look(kId), Found::kGrant);
  state_.Drop(11, PolicyChanged("acme"));
  EXPECT_EQ(Look(kId), Found::kMiss);
  EXPECT_EQ(Look(kOther), Found::kUnknown) << "what is no token is none of the workspace's";
  EXPECT_EQ(outbox_.TakeUsage(absl::InfinitePast())[0].uses_size(), 1) << "no use is lost";
  EXPECT_EQ(Told().dropped_size(), 0) << "it took no permission away";
  EXPECT_FALSE(StillUsable([&] { state_.Drop(11, PolicyChanged("acme")); }));
  EXPECT_TRUE(StillUsable([&] { state_.Drop(11, PolicyChanged("other")); }));
  // What was read at the event's revision or later is as the policy says.
  Keep(kId);  // created at (3, 1)
  state_.Drop(3, PolicyChanged("acme", 0));
  EXPECT_EQ(Look(kId), Found::kGrant);
}

TEST_F(EdgeStateTest, WhatAPolicyMayNotAskForAnyMoreIsForgotten) {
  const auto addresses_after = [&](auto event) {
    const auto client = base::IpAddress::FromText("192.0.2.7");
    attempts_.Add("acme", kId, tollgate::v1::VERDICT_REASON_REVOKED, 5000, client);
    state_.CollectUse(clock_.Now());
    attempts_.Add("acme", kId, tollgate::v1::VERDICT_REASON_REVOKED, 6000, client);
    event();
    state_.CollectUse(clock_.Now());
    const auto reports = outbox_.TakeUsage(absl::InfinitePast());
    outbox_.StreamEnded();
    outbox_.ForgetAddresses("");
    return reports[0].attempts(0).addresses_size();
  };
  EXPECT_EQ(addresses_after([&] { state_.Drop(11, PolicyChanged("other")); }), 1);
  EXPECT_EQ(addresses_after([&] { state_.Drop(11, Changed("acme", kId)); }), 1);
  EXPECT_EQ(addresses_after([&] { state_.Drop(11, PolicyChanged("acme")); }), 0);
  EXPECT_EQ(addresses_after([&] { state_.Drop(11, tollgate::v1::Event()); }), 0);
  EXPECT_EQ(addresses_after([&] { state_.Reset("e2", 11); }), 0);
}

TEST_F(EdgeStateTest, AResetAndAnUnknownKindDropAllAndKeepTheUse) {
  const auto all_goes = [&](auto drop) {
    Keep(kId);
    ASSERT_TRUE(table_->RecordAdmit(place_, 5000));
    state_.KeepUnknown(KeyFor(kOther), 1000);
    EXPECT_FALSE(StillUsable(drop));
    EXPECT_EQ(table_->size(), 0);
    EXPECT_EQ(table_->unknown_size(), 0);
  };
  all_goes([&] { state_.Reset("e1", 11); });
  all_goes([&] { state_.DropAll(11); });
  all_goes([&] { state_.Drop(11, tollgate::v1::Event()); });
  EXPECT_EQ(outbox_.TakeUsage(absl::InfinitePast())[0].uses(0).count(), 3);
}

TEST_F(EdgeStateTest, WhatIsTooLargeIsNotHeld) {
  auto grant = GrantFor("acme", kId);
  for (int i = 0; i < 200; ++i) grant.add_scopes(std::string(128, 'x'));
  EXPECT_FALSE(state_.Keep(KeyFor(kId), grant, token::PackGrant(grant), 1000, &place_));
  EXPECT_EQ(Look(kId), Found::kMiss);
}

TEST_F(EdgeStateTest, LeasesAndTheServicesTimeGoToTheCell) {
  const auto state = [&] {
    return lease_->StateAt(lease_->Read(), clock_.Now(), clock_.WallNow());
  };
  const lease::HeldLease lease{clock_.Now(), clock_.WallNow(), absl::Seconds(30),
                               absl::Milliseconds(30)};
  state_.LeaseGranted(lease, clock_.Now(), clock_.WallNow());
  EXPECT_EQ(state(), LeaseState::kLive);
  state_.EndLease();
  EXPECT_EQ(state(), LeaseState::kNone);
  state_.LeaseGranted(lease, clock_.Now(), clock_.WallNow());
  EXPECT_EQ(state(), LeaseState::kLive);
  state_.Close();  // R4
  state_.LeaseGranted(lease, clock_.Now(), clock_.WallNow());
  EXPECT_EQ(state(), LeaseState::kNone);
  state_.BrandAgreed(true);
  EXPECT_TRUE(table_->brand_agreed());
}

TEST_F(EdgeStateTest, ACollectionIsCompleteUntilTheTickThatItBeganIn) {
  EXPECT_EQ(state_.CollectUse(clock_.Now()), absl::InfinitePast());
  state_.SetServiceTime(absl::FromUnixMillis(1'000'000'017), absl::ZeroDuration(), clock_.Now());
  Keep(kId);
  ASSERT_TRUE(table_->RecordAdmit(place_, 1'000'000'016));
  EXPECT_EQ(state_.CollectUse(clock_.Now()), absl::FromUnixMillis(1'000'000'010));
  EXPECT_EQ(outbox_.unreported(), 1u);
}

TEST_F(EdgeStateTest, APingCountsWhatIsHeldAndDecided) {
  Keep(kId);
  counts_.CountAdmit(false, true);
  counts_.CountRefusal(tollgate::v1::VERDICT_REASON_REVOKED, true);
  Ping ping;
  state_.FillCounts(&ping);
  EXPECT_EQ(ping.cached_tokens(), 1);
  EXPECT_EQ(ping.decisions(), 2);
}

}  // namespace
}  // namespace tollgate::validator
