// Cohorts: one commit and one event, whatever the number.
#include "service/reads/read_tokens.h"
#include "service/tokens/revoke_cohort.h"
#include "service/tokens/update_token.h"
#include "tests/unit/service/command_fixture.h"

namespace tollgate::service {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::tollgate::v1::RevokeTokensRequest;

class CohortTest : public CommandTest {
 protected:
  RevokeTokensRequest Of(const std::string& owner = "") {
    RevokeTokensRequest request;
    request.set_parent("workspaces/acme");
    request.set_owner(owner);
    request.set_reason("breach");
    return request;
  }
  tollgate::v1::TokenState StateOf(const tollgate::v1::Token& token) {
    tollgate::v1::GetTokenRequest request;
    request.set_name(token.name());
    return ReadToken(*View(), request, now_).value().state();
  }
};

TEST_F(CohortTest, AHundredThousandTokensAreOneCommitAndOneEvent) {
  constexpr int kTokens = 100'000;
  std::vector<std::shared_ptr<CreateTokenCommand>> made;
  for (int i = 0; i < kTokens;) {
    std::vector<storage::Command*> batch;
    made.clear();
    for (int j = 0; j < 5000; ++j, ++i) {
      made.push_back(CreateTokenCommand::Make(Ask(absl::StrCat("t", i)), "local", Mint()).value());
      batch.push_back(made.back().get());
    }
    RunAll(batch);
  }
  const auto sample = made.back()->response().token();
  Use(sample, "payments/edge-3", now_ - absl::Minutes(5));
  auto request = Of();
  request.set_validate_only(true);
  const int64_t head = Head();
  const auto counted = CountCohort(*View(), request, now_);
  ASSERT_TRUE(counted.ok()) << counted.status();
  EXPECT_EQ(counted->token_count(), kTokens);
  ASSERT_THAT(counted->recently_used(), SizeIs(1));
  EXPECT_EQ(counted->recently_used(0).name(), sample.name());
  EXPECT_EQ(Head(), head);

  request.set_validate_only(false);
  request.set_expected_count(kTokens);
  EXPECT_EQ(Reason(Do(RevokeCohortCommand::Make(request, "local"))), "COUNT_MOVED");
  const auto revoked =
      Do(RevokeCohortCommand::Make(request, "local", CountLive(*View(), request, now_).value()));
  ASSERT_TRUE(revoked.ok()) << revoked.status();
  EXPECT_EQ(Head(), head + 1);
  ASSERT_THAT(events_, SizeIs(1));
  EXPECT_EQ(events_[0].cohort_revoked().workspace(), "acme");
  EXPECT_EQ((*revoked)->response().token_count(), kTokens);
  EXPECT_EQ(CountCohort(*View(), Of(), now_)->token_count(), 0);
  EXPECT_EQ(StateOf(sample), tollgate::v1::TOKEN_STATE_REVOKED);
  // A revocation of one of them answers the cohort's.
  const auto again = RevokeOne(sample.name());
  EXPECT_EQ((*again)->response().revision(), head + 1);
  EXPECT_EQ((*again)->response().token().reason(), "breach");
}

TEST_F(CohortTest, WhatIsCreatedAfterItInTheSameBatchLives) {
  auto before = CreateTokenCommand::Make(Ask("before"), "local", Mint()).value();
  auto cohort = RevokeCohortCommand::Make(Of(), "local").value();
  auto after = CreateTokenCommand::Make(Ask("after"), "local", Mint()).value();
  const auto statuses = RunAll({before.get(), cohort.get(), after.get()});
  for (const auto& status : statuses) EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(StateOf(before->response().token()), tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_EQ(StateOf(after->response().token()), tollgate::v1::TOKEN_STATE_ACTIVE);
}

TEST_F(CohortTest, AnOwnersCohortLeavesTheOthers) {
  const auto a = Made("a", "team-a");
  const auto b = Made("b", "team-b");
  EXPECT_EQ(CountCohort(*View(), Of("team-a"), now_)->token_count(), 1);
  ASSERT_TRUE(Do(RevokeCohortCommand::Make(Of("team-a"), "local")).ok());
  EXPECT_EQ(StateOf(a), tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_EQ(StateOf(b), tollgate::v1::TOKEN_STATE_ACTIVE);

  // A change of owner neither saves a token nor quietly revokes one.
  tollgate::v1::UpdateTokenRequest update;
  update.mutable_update_mask()->add_paths("owner");
  update.mutable_token()->set_name(a.name());
  update.mutable_token()->set_owner("team-b");
  EXPECT_EQ(Reason(Do(UpdateTokenCommand::Make(update, "local"))), "TOKEN_FINAL");
  update.mutable_token()->set_name(b.name());
  update.mutable_token()->set_owner("team-a");
  const auto moved = Do(UpdateTokenCommand::Make(update, "local"));
  EXPECT_EQ(moved.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Reason(moved), "OWNER_REVOKED");
  EXPECT_EQ(Field(moved.status()), "token.owner");
}

// More tokens than a command counts: what matters is whether it notices that the count has moved.
TEST_F(CohortTest, ACountIsTrustedUntilATokenComesOrGoes) {
  std::vector<std::shared_ptr<CreateTokenCommand>> made;
  std::vector<storage::Command*> batch;
  for (int i = 0; i < 1200; ++i) {
    auto request = Ask(absl::StrCat("t", i));
    if (i == 0) request.mutable_lifetime()->set_seconds(60);
    made.push_back(CreateTokenCommand::Make(request, "local", Mint()).value());
    batch.push_back(made.back().get());
  }
  RunAll(batch);
  const auto name = [&](int i) { return made[i]->response().token().name(); };
  auto request = Of();
  int64_t expected = 1200;
  auto counted = CountLive(*View(), request, now_).value();
  const auto revoke = [&]() {
    request.set_expected_count(expected);
    return Reason(Do(RevokeCohortCommand::Make(request, "local", counted)));
  };
  const auto count_anew = [&]() {
    counted = CountLive(*View(), request, now_).value();
    EXPECT_EQ(counted.tokens, expected);
  };
  expected = 1199;
  EXPECT_EQ(revoke(), "COUNT_MISMATCH");
  expected = 1200;
  count_anew();

  // One ends, one comes, one gets another owner, one expires by time alone: each moves it.
  ASSERT_TRUE(RevokeOne(name(1)).ok());
  EXPECT_EQ(revoke(), "COUNT_MOVED");
  --expected;
  count_anew();
  auto other = Ask("other");
  ASSERT_TRUE(Create(other).ok());
  EXPECT_EQ(revoke(), "COUNT_MOVED");
  ++expected;
  count_anew();
  tollgate::v1::UpdateTokenRequest update;
  update.mutable_update_mask()->add_paths("owner");
  update.mutable_token()->set_name(name(2));
  update.mutable_token()->set_owner("team-a");
  ASSERT_TRUE(Do(UpdateTokenCommand::Make(update, "local")).ok());
  EXPECT_EQ(revoke(), "COUNT_MOVED");
  count_anew();
  now_ += absl::Seconds(60);
  EXPECT_EQ(revoke(), "COUNT_MOVED");
  --expected;
  count_anew();
  // A clock that was set back has the expired one live again.
  now_ -= absl::Seconds(1);
  EXPECT_EQ(revoke(), "COUNT_MOVED");
  now_ += absl::Seconds(2);

  // Neither another workspace nor a suspension moves it.
  auto elsewhere = Ask("elsewhere");
  elsewhere.set_parent("workspaces/acme-2");
  ASSERT_TRUE(Create(elsewhere).ok());
  ASSERT_TRUE(Suspend(name(3)).ok());
  // What is made in the same batch, before it, does.
  auto late = CreateTokenCommand::Make(Ask("late"), "local", Mint()).value();
  request.set_expected_count(expected);
  auto early = RevokeCohortCommand::Make(request, "local", counted).value();
  EXPECT_EQ(Reason(RunAll({late.get(), early.get()})[1]), "COUNT_MOVED");
  ++expected;
  count_anew();
  EXPECT_EQ(revoke(), "OK");
  expected = 0;
  EXPECT_EQ(revoke(), "COUNT_MOVED");  // its own revocation moved it
  count_anew();
}

TEST_F(CohortTest, ASmallWorkspaceIsCountedAnewWhereItMoved) {
  Made("a");
  auto request = Of();
  const auto counted = CountLive(*View(), request, now_).value();
  Made("b");
  request.set_expected_count(1);
  EXPECT_EQ(Reason(Do(RevokeCohortCommand::Make(request, "local", counted))), "COUNT_MISMATCH");
  request.set_expected_count(2);
  request.set_request_id("r");
  const auto revoked = Do(RevokeCohortCommand::Make(request, "local", counted));
  ASSERT_TRUE(revoked.ok()) << revoked.status();
  EXPECT_EQ((*revoked)->response().token_count(), 2);
  // Its retry has another count, and the first answer.
  const auto again =
      Do(RevokeCohortCommand::Make(request, "local", CountLive(*View(), request, now_).value()));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE((*again)->replayed());
  EXPECT_EQ((*again)->response().token_count(), 2);
}

TEST_F(CohortTest, WhatTheFirstEndedStaysAsItEnded) {
  const auto read = [&](const tollgate::v1::Token& token) {
    tollgate::v1::GetTokenRequest request;
    request.set_name(token.name());
    return ReadToken(*View(), request, now_).value();
  };
  auto lasting = Ask("lasting");
  lasting.mutable_lifetime()->set_seconds(10);
  const auto expired = (*Create(lasting))->response().token();
  now_ += absl::Seconds(10);
  ASSERT_EQ(StateOf(expired), tollgate::v1::TOKEN_STATE_EXPIRED);  // and no sweep has come by
  const auto first = Made("first");
  ASSERT_TRUE(Do(RevokeCohortCommand::Make(Of(), "local")).ok());
  EXPECT_EQ(StateOf(expired), tollgate::v1::TOKEN_STATE_EXPIRED);
  const auto before = read(first);
  EXPECT_EQ(before.reason(), "breach");

  now_ += absl::Hours(1);
  const auto second = Made("second");
  auto again = Of();
  again.set_reason("another");
  for (int i = 0; i < 70; ++i) {
    now_ += absl::Hours(1);
    ASSERT_TRUE(Do(RevokeCohortCommand::Make(again, "local")).ok());
    if (i == 60) {
      EXPECT_EQ(read(first).SerializeAsString(), before.SerializeAsString());
    }
  }
  EXPECT_EQ(StateOf(first), tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_EQ(read(second).reason(), "another");
  EXPECT_EQ(StateOf(expired), tollgate::v1::TOKEN_STATE_EXPIRED);
  // As many as are kept.
  const auto record = storage::GetRecord<tollgate::store::v1::CohortRecord>(
      *View(), storage::Table::kCohorts, storage::CohortKey("acme", ""));
  EXPECT_EQ((*record)->earlier_size(), 64);
  EXPECT_EQ((*record)->earlier(0).earlier_size(), 0);
}

TEST_F(CohortTest, Refusals) {
  EXPECT_EQ(Reason(Do(RevokeCohortCommand::Make(Of(), "local"))), "WORKSPACE_NOT_FOUND");
  EXPECT_EQ(Reason(CountCohort(*View(), Of(), now_)), "WORKSPACE_NOT_FOUND");
  Made("a");
  Made("b");
  auto request = Of();
  request.set_expected_count(3);
  for (const auto& status : {Do(RevokeCohortCommand::Make(request, "local")).status(),
                             CountCohort(*View(), request, now_).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(Reason(status), "COUNT_MISMATCH");
    EXPECT_EQ(Metadata(status, "expected_count"), "3");
    EXPECT_EQ(Metadata(status, "token_count"), "2");
    EXPECT_EQ(Field(status), "expected_count");
  }
  request.set_expected_count(-1);
  EXPECT_EQ(Reason(RevokeCohortCommand::Make(request, "local")), "EXPECTED_COUNT_NEGATIVE");
  request = Of();
  request.set_validate_only(true);
  EXPECT_EQ(Reason(RevokeCohortCommand::Make(request, "local")), "VALIDATE_ONLY");
  request.set_reason(std::string(513, 'x'));
  EXPECT_EQ(Reason(CountCohort(*View(), request, now_)), "REASON_TOO_LONG");
}

}  // namespace
}  // namespace tollgate::service
