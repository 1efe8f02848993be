#include "token/life_cycle.h"

#include <gtest/gtest.h>

namespace tollgate::token {
namespace {

using ::tollgate::store::v1::CohortRecord;
using ::tollgate::store::v1::Ending;
using ::tollgate::store::v1::TokenRecord;
using namespace ::tollgate::v1;  // NOLINT: the enumerators

constexpr int64_t kSecond = 1'000'000;
absl::Time At(int64_t s) { return absl::FromUnixSeconds(s); }

CohortRecord Cohort(int64_t revision, uint32_t index) {
  CohortRecord cohort;
  cohort.set_revision(revision);
  cohort.set_index(index);
  cohort.set_time_us(50 * kSecond);
  cohort.set_reason("cohort's reason");
  return cohort;
}

// A token created at revision 10, index 1.
struct Case {
  const char* what;
  int64_t expire_s = 0;
  int64_t retire_s = 0;
  bool by_hand = false;
  bool suspended = false;
  int ending = -1;  // Ending::Kind
  int64_t ending_revision = 20;
  int64_t cohort = 0;  // workspace watermark's revision
  int64_t now_s = 100;
  TokenState state = TOKEN_STATE_ACTIVE;
};

TokenRecord RecordOf(const Case& c) {
  TokenRecord record;
  record.set_workspace("acme");
  record.set_token_id("4mXp81QzR0aYc7Ld");
  record.set_owner("team:ci");
  record.set_reason("record's reason");
  record.set_create_time_us(10 * kSecond);
  record.set_update_time_us(11 * kSecond);
  record.set_create_revision(10);
  record.set_create_index(1);
  record.set_update_revision(12);
  record.set_expire_time_us(c.expire_s * kSecond);
  record.set_suspended(c.suspended);
  if (c.retire_s != 0) record.mutable_retirement()->set_at_time_us(c.retire_s * kSecond);
  if (c.by_hand) record.mutable_retirement()->set_by_hand(true);
  if (c.ending >= 0) {
    record.mutable_ending()->set_kind(static_cast<Ending::Kind>(c.ending));
    record.mutable_ending()->set_revision(c.ending_revision);
    record.mutable_ending()->set_time_us(60 * kSecond);
  }
  return record;
}
Cohorts CohortsOf(const Case& c) {
  Cohorts cohorts;
  if (c.cohort != 0) cohorts.workspace = Cohort(c.cohort, 0);
  return cohorts;
}

class StateTest : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(
    Table, StateTest,
    ::testing::Values(
        Case{.what = "plain"}, Case{.what = "not_yet_expired", .expire_s = 101},
        Case{.what = "expires_at_the_very_moment", .expire_s = 100, .state = TOKEN_STATE_EXPIRED},
        Case{.what = "expired", .expire_s = 99, .state = TOKEN_STATE_EXPIRED},
        Case{.what = "suspended", .suspended = true, .state = TOKEN_STATE_SUSPENDED},
        Case{.what = "suspension_does_not_stop_time",
             .expire_s = 99,
             .suspended = true,
             .state = TOKEN_STATE_EXPIRED},
        Case{.what = "suspension_does_not_stop_retirement",
             .retire_s = 99,
             .suspended = true,
             .state = TOKEN_STATE_REVOKED},
        Case{.what = "retiring_by_hand", .by_hand = true, .state = TOKEN_STATE_RETIRING},
        Case{.what = "retiring_until", .retire_s = 101, .state = TOKEN_STATE_RETIRING},
        Case{.what = "suspended_while_retiring",
             .retire_s = 101,
             .suspended = true,
             .state = TOKEN_STATE_SUSPENDED},
        Case{.what = "retired", .retire_s = 100, .state = TOKEN_STATE_REVOKED},
        Case{.what = "expired_before_it_retired",
             .expire_s = 50,
             .retire_s = 60,
             .state = TOKEN_STATE_EXPIRED},
        Case{.what = "retired_before_it_expired",
             .expire_s = 60,
             .retire_s = 50,
             .state = TOKEN_STATE_REVOKED},
        Case{.what = "both_at_once", .expire_s = 60, .retire_s = 60, .state = TOKEN_STATE_EXPIRED},
        Case{.what = "covered", .cohort = 11, .state = TOKEN_STATE_REVOKED},
        Case{.what = "made_after_the_cohort", .cohort = 9},
        Case{.what = "made_in_the_cohorts_revision_behind_it", .cohort = 10},
        Case{.what = "covered_though_suspended",
             .suspended = true,
             .cohort = 11,
             .state = TOKEN_STATE_REVOKED},
        Case{.what = "covered_before_time",
             .expire_s = 99,
             .cohort = 11,
             .state = TOKEN_STATE_REVOKED},
        // The cohorts' time is 50.
        Case{.what = "expired_before_the_cohort",
             .expire_s = 50,
             .cohort = 11,
             .state = TOKEN_STATE_EXPIRED},
        Case{.what = "retired_before_the_cohort_and_expired_after",
             .expire_s = 60,
             .retire_s = 40,
             .cohort = 11,
             .state = TOKEN_STATE_REVOKED},
        Case{.what = "revoked", .ending = Ending::KIND_REVOKED, .state = TOKEN_STATE_REVOKED},
        Case{.what = "ended_as_expired",
             .ending = Ending::KIND_EXPIRED,
             .state = TOKEN_STATE_EXPIRED},
        Case{.what = "ended_as_retired",
             .ending = Ending::KIND_RETIRED,
             .state = TOKEN_STATE_REVOKED},
        Case{
            .what = "ended_as_unused", .ending = Ending::KIND_UNUSED, .state = TOKEN_STATE_EXPIRED},
        Case{.what = "ended_in_a_way_of_a_newer_service",
             .ending = 77,
             .state = TOKEN_STATE_REVOKED},
        Case{.what = "revoked_stays_when_time_passes",
             .expire_s = 99,
             .ending = Ending::KIND_REVOKED,
             .state = TOKEN_STATE_REVOKED},
        Case{.what = "expired_stays_when_the_clock_goes_back",
             .expire_s = 200,
             .ending = Ending::KIND_EXPIRED,
             .now_s = 1,
             .state = TOKEN_STATE_EXPIRED},
        Case{.what = "ending_before_the_cohort",
             .ending = Ending::KIND_EXPIRED,
             .ending_revision = 20,
             .cohort = 21,
             .state = TOKEN_STATE_EXPIRED},
        Case{.what = "cohort_before_the_ending",
             .ending = Ending::KIND_EXPIRED,
             .ending_revision = 20,
             .cohort = 19,
             .state = TOKEN_STATE_REVOKED}),
    [](const auto& info) { return info.param.what; });
TEST_P(StateTest, IsAsTold) {
  const Case& c = GetParam();
  const TokenRecord record = RecordOf(c);
  EXPECT_EQ(StateAt(record, CohortsOf(c), At(c.now_s)), c.state);
  // What a commit ended is final at the edge; what only time ended is told by the time.
  const bool by_commit = c.ending > 0 || c.cohort > 10;
  const TokenState told = ToGrant(record, CohortsOf(c)).state();
  EXPECT_EQ(IsFinal(told), IsFinal(c.state) && by_commit);
  if (by_commit || !IsFinal(c.state)) {
    EXPECT_EQ(told, c.state);
  }
  EXPECT_EQ(ToToken(record, CohortsOf(c), absl::ZeroDuration(), At(c.now_s)).state(), c.state);
  EXPECT_NE(IsFinal(c.state), IsLive(c.state));
}
// Once final, the same final state at every later time.
TEST_P(StateTest, FinalIsFinal) {
  const Case& c = GetParam();
  TokenState last = TOKEN_STATE_UNSPECIFIED;
  for (int64_t s = 1; s < 300; ++s) {
    const TokenState state = StateAt(RecordOf(c), CohortsOf(c), At(s));
    if (IsFinal(last)) {
      ASSERT_EQ(state, last) << "at " << s;
    }
    last = state;
  }
}

TEST(CoveringCohortTest, TheEarlierOfTwo) {
  const TokenRecord record = RecordOf({.what = ""});
  Cohorts cohorts;
  EXPECT_EQ(CoveringCohort(record, cohorts), nullptr);
  cohorts.owner = Cohort(30, 1);
  EXPECT_EQ(CoveringCohort(record, cohorts), &*cohorts.owner);
  cohorts.workspace = Cohort(30, 2);
  EXPECT_EQ(CoveringCohort(record, cohorts), &*cohorts.owner);
  cohorts.workspace = Cohort(20, 2);
  EXPECT_EQ(CoveringCohort(record, cohorts), &*cohorts.workspace);
  cohorts.workspace = Cohort(5, 0);  // made after it
  EXPECT_EQ(CoveringCohort(record, cohorts), &*cohorts.owner);
}

TEST(ToTokenTest, ACohortsRevocationIsToldWithItsOwnTimeReasonAndRevision) {
  const Case c{.what = "", .cohort = 30};
  const Token token = ToToken(RecordOf(c), CohortsOf(c), absl::Hours(1), At(100));
  EXPECT_EQ(token.reason(), "cohort's reason");
  EXPECT_EQ(token.revoke_time().seconds(), 50);
  EXPECT_EQ(token.update_time().seconds(), 50);
  EXPECT_EQ(token.update_revision(), 30);
  EXPECT_FALSE(token.has_rotation_due_time());
}

TEST(CoveringCohortTest, ALaterOneOfTheSameKeyDoesNotTakeTheFirstOnesPlace) {
  const TokenRecord record = RecordOf({.what = ""});
  Cohorts cohorts;
  cohorts.workspace = Cohort(40, 0);
  *cohorts.workspace->add_earlier() = Cohort(5, 0);  // made after it
  *cohorts.workspace->add_earlier() = Cohort(20, 0);
  *cohorts.workspace->add_earlier() = Cohort(30, 0);
  EXPECT_EQ(CoveringCohort(record, cohorts), &cohorts.workspace->earlier(1));
  cohorts.owner = Cohort(25, 0);
  EXPECT_EQ(CoveringCohort(record, cohorts), &cohorts.workspace->earlier(1));
  // What the latest does not cover, none does.
  cohorts.workspace->set_revision(9);
  EXPECT_EQ(CoveringCohort(record, cohorts), &*cohorts.owner);
}

TEST(ToTokenTest, WhatTimeEndedBeforeACohortIsNotToldAsItsRevocation) {
  const Case c{.what = "", .retire_s = 40, .cohort = 30};
  const Token token = ToToken(RecordOf(c), CohortsOf(c), absl::ZeroDuration(), At(100));
  EXPECT_EQ(token.revoke_time().seconds(), 40);
  EXPECT_EQ(token.reason(), "record's reason");
  EXPECT_EQ(token.update_revision(), 12);
}

TEST(ToTokenTest, RotationIsDueForWhatLivesAndWasNotRotated) {
  const Case plain{.what = ""}, retiring{.what = "", .by_hand = true};
  EXPECT_EQ(ToToken(RecordOf(plain), {}, absl::Seconds(30), At(15)).rotation_due_time().seconds(),
            40);
  EXPECT_FALSE(ToToken(RecordOf(plain), {}, absl::ZeroDuration(), At(15)).has_rotation_due_time());
  const Token old = ToToken(RecordOf(retiring), {}, absl::Seconds(30), At(15));
  EXPECT_FALSE(old.has_rotation_due_time());
  EXPECT_TRUE(old.retire_plan().by_hand());
}

TEST(ToTokenTest, NoRevokeTimeWhereNothingWasRevoked) {
  const Case c{.what = "", .expire_s = 20};
  const Token token = ToToken(RecordOf(c), {}, absl::ZeroDuration(), At(100));
  EXPECT_FALSE(token.has_revoke_time());
  EXPECT_EQ(token.expire_time().seconds(), 20);
  EXPECT_EQ(token.name(), "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
}

TEST(ToGrantTest, HoldsWhatAnEdgeNeeds) {
  const Case c{.what = "", .expire_s = 300, .retire_s = 200};
  TokenRecord record = RecordOf(c);
  record.add_scopes("deploy:write");
  record.add_audiences("payments");
  record.set_stored_digest(std::string(32, 'd'));
  const Grant grant = ToGrant(record, {});
  EXPECT_EQ(grant.token(), "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  EXPECT_EQ(grant.owner(), "team:ci");
  EXPECT_EQ(grant.expire_time().seconds(), 300);
  EXPECT_EQ(grant.retire_time().seconds(), 200);
  EXPECT_EQ(grant.create_revision(), 10);
  EXPECT_EQ(grant.create_index(), 1u);
  EXPECT_EQ(grant.scopes(0), "deploy:write");
  EXPECT_EQ(grant.audiences(0), "payments");
  EXPECT_EQ(grant.SerializeAsString().find(std::string(8, 'd')), std::string::npos);
}

}  // namespace
}  // namespace tollgate::token
