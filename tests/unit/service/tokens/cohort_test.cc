// Cohorts: one commit and one event, whatever the number.
#include <algorithm>
#include <random>

#include "service/reads/read_tokens.h"
#include "service/tokens/revoke_cohort.h"
#include "service/tokens/update_token.h"
#include "tests/instruments/live_scan.h"
#include "tests/unit/service/command_fixture.h"

namespace tollgate::service {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
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
  const auto counted = CountCohort(*View(), request, "local", now_);
  ASSERT_TRUE(counted.ok()) << counted.status();
  EXPECT_EQ(counted->token_count(), kTokens);
  ASSERT_THAT(counted->recently_used(), SizeIs(1));
  EXPECT_EQ(counted->recently_used(0).name(), sample.name());
  EXPECT_EQ(Head(), head);

  request.set_validate_only(false);
  request.set_expected_count(kTokens);
  const auto revoked = Do(RevokeCohortCommand::Make(request, "local"));
  ASSERT_TRUE(revoked.ok()) << revoked.status();
  EXPECT_EQ(Head(), head + 1);
  ASSERT_THAT(events_, SizeIs(1));
  EXPECT_EQ(events_[0].cohort_revoked().workspace(), "acme");
  EXPECT_EQ((*revoked)->response().token_count(), kTokens);
  EXPECT_EQ(Reason(CountCohort(*View(), Of(), "local", now_)), "NOTHING_TO_REVOKE");
  EXPECT_EQ(instruments::LiveCountFaults(*View()), "");
  EXPECT_EQ(StateOf(sample), tollgate::v1::TOKEN_STATE_REVOKED);
  // A revocation of one of them answers the cohort's.
  const auto again = RevokeOne(sample.name());
  EXPECT_EQ((*again)->response().revision(), head + 1);
  EXPECT_EQ((*again)->response().token().reason(), "breach");
}

// Between a call and its retry the count falls to 0; whoever counts before is answered what was
// done.
TEST_F(CohortTest, ARetryThatCountsFirstIsRecognised) {
  Made("a", "team-a");
  Made("b", "team-a");
  auto request = Of("team-a");
  request.set_request_id("incident-1");
  const auto count = [&](absl::string_view actor) {
    auto counting = request;
    counting.set_validate_only(true);
    return CountCohort(*View(), counting, actor, now_);
  };
  ASSERT_EQ(count("local")->token_count(), 2);
  EXPECT_EQ(count("local")->revision(), 0);
  request.set_expected_count(2);
  const auto revoked = Do(RevokeCohortCommand::Make(request, "local"));
  ASSERT_TRUE(revoked.ok()) << revoked.status();

  request.clear_expected_count();
  const auto again = count("local");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->token_count(), 2);
  EXPECT_EQ(again->revision(), (*revoked)->response().revision());
  EXPECT_EQ(Reason(count("somebody else")), "NOTHING_TO_REVOKE");
  const auto retried = Do(RevokeCohortCommand::Make(request, "local"));
  ASSERT_TRUE(retried.ok()) << retried.status();
  EXPECT_EQ((*retried)->response().revision(), again->revision());
  request.set_owner("team-b");
  EXPECT_EQ(Reason(count("local")), "REQUEST_ID_REUSED");
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
  EXPECT_EQ(CountCohort(*View(), Of("team-a"), "local", now_)->token_count(), 1);
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

TEST_F(CohortTest, TheNumberIsThatOfTheMomentOfTheCommit) {
  std::vector<std::string> names;
  for (int i = 0; i < 6; ++i) {
    auto request = Ask(absl::StrCat("t", i));
    if (i == 0) request.mutable_lifetime()->set_seconds(60);
    request.mutable_token()->set_owner("team-a");
    names.push_back((*Create(request))->response().token().name());
  }
  auto request = Of("team-a");
  const auto refused_at = [&](int64_t expected) {
    request.set_expected_count(expected);
    const auto done = Do(RevokeCohortCommand::Make(request, "local"));
    EXPECT_EQ(Reason(done), "COUNT_MISMATCH");
    return Metadata(done.status(), "token_count");
  };
  EXPECT_EQ(refused_at(5), "6");
  // One ends, one comes, one gets another owner, one expires by time alone and no sweep came by.
  ASSERT_TRUE(RevokeOne(names[1]).ok());
  EXPECT_EQ(refused_at(6), "5");
  Made("other", "team-a");
  EXPECT_EQ(refused_at(5), "6");
  tollgate::v1::UpdateTokenRequest update;
  update.mutable_update_mask()->add_paths("owner");
  update.mutable_token()->set_name(names[2]);
  update.mutable_token()->set_owner("team-b");
  ASSERT_TRUE(Do(UpdateTokenCommand::Make(update, "local")).ok());
  EXPECT_EQ(refused_at(6), "5");
  now_ += absl::Seconds(60);
  EXPECT_EQ(refused_at(5), "4");
  // A suspended token is a live one, and another workspace is none of its.
  ASSERT_TRUE(Suspend(names[3]).ok());
  auto elsewhere = Ask("elsewhere");
  elsewhere.set_parent("workspaces/acme-2");
  elsewhere.set_create_workspace(true);
  elsewhere.mutable_token()->set_owner("team-a");
  ASSERT_TRUE(Create(elsewhere).ok());
  EXPECT_EQ(refused_at(5), "4");
  // What is made in the same batch, before it, counts; what is made after it does not.
  auto late = Ask("late");
  late.mutable_token()->set_owner("team-a");
  auto before = CreateTokenCommand::Make(late, "local", Mint()).value();
  late.mutable_token()->set_label("later");
  auto after = CreateTokenCommand::Make(late, "local", Mint()).value();
  request.set_expected_count(5);
  request.set_request_id("r");
  auto revoke = RevokeCohortCommand::Make(request, "local").value();
  for (const auto& status : RunAll({before.get(), revoke.get(), after.get()})) {
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(revoke->response().token_count(), 5);
  EXPECT_EQ(instruments::LiveCountFaults(*View()), "");
  // Its retry finds another number, and gets the first answer.
  const auto again = Do(RevokeCohortCommand::Make(request, "local"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE((*again)->replayed());
  EXPECT_EQ((*again)->response().token_count(), 5);
}

TEST_F(CohortTest, OneThatHitsNobodyIsRefusedUntilThatIsSaidToBeKnown) {
  Made("a", "team-payments");
  Made("b", "team-payments");
  Made("c", "search");
  auto request = Of("team-paymnts");
  for (const auto& status : {Do(RevokeCohortCommand::Make(request, "local")).status(),
                             CountCohort(*View(), request, "local", now_).status()}) {
    EXPECT_EQ(Reason(status), "NOTHING_TO_REVOKE");
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(Field(status), "owner");
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("perhaps you mean team-payments (2 live tokens)"));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("search")));
  }
  // No watermark was left: the owner of that name can be given tokens.
  tollgate::v1::UpdateTokenRequest update;
  update.mutable_update_mask()->add_paths("owner");
  update.mutable_token()->set_name(Made("d").name());
  update.mutable_token()->set_owner("team-paymnts");
  ASSERT_TRUE(Do(UpdateTokenCommand::Make(update, "local")).ok());

  request = Of("nobody");
  request.set_allow_empty(true);
  auto empty = Do(RevokeCohortCommand::Make(request, "local"));
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_EQ((*empty)->response().token_count(), 0);
  request.set_allow_empty(false);
  request.set_expected_count(0);
  EXPECT_TRUE(Do(RevokeCohortCommand::Make(request, "local")).ok());
  ASSERT_TRUE(Do(RevokeCohortCommand::Make(Of(), "local")).ok());
  EXPECT_EQ(Reason(Do(RevokeCohortCommand::Make(Of(), "local"))), "NOTHING_TO_REVOKE");
}

// Whatever is done, and in whatever order, the counts are those of the tokens.
TEST_F(CohortTest, CountsAgreeWithTheTokens) {
  std::mt19937 random(3);
  const auto pick = [&](int below) { return static_cast<int>(random() % below); };
  const char* const owners[] = {"", "ada", "bob"};
  std::vector<std::string> names;
  for (int step = 0; step < 200; ++step) {
    const std::string token = names.empty() ? "" : names[pick(static_cast<int>(names.size()))];
    std::vector<std::shared_ptr<storage::Command>> batch;
    std::vector<std::shared_ptr<CreateTokenCommand>> made;
    for (int i = pick(3); i >= 0; --i) {
      auto request = Ask(absl::StrCat("t", step, "-", i));
      request.mutable_token()->set_owner(owners[pick(3)]);
      if (pick(3) == 0) request.mutable_lifetime()->set_seconds(1 + pick(50));
      made.push_back(CreateTokenCommand::Make(request, "local", Mint()).value());
      batch.push_back(made.back());
    }
    if (!token.empty() && pick(2) == 0) {
      tollgate::v1::UpdateTokenRequest update;
      update.mutable_update_mask()->add_paths("owner");
      update.mutable_token()->set_name(token);
      update.mutable_token()->set_owner(owners[pick(3)]);
      batch.push_back(UpdateTokenCommand::Make(update, "local").value());
    }
    if (!token.empty() && pick(3) == 0) {
      tollgate::v1::RevokeTokenRequest revoke;
      revoke.set_name(token);
      batch.push_back(RevokeTokenCommand::Make(revoke, "local").value());
    }
    if (!token.empty() && pick(4) == 0) {
      tollgate::v1::RotateTokenRequest rotate;
      rotate.set_name(token);
      batch.push_back(RotateTokenCommand::Make(rotate, "local", Mint()).value());
    }
    if (pick(12) == 0) {
      batch.push_back(RevokeCohortCommand::Make(Of(owners[pick(3)]), "local").value());
    }
    std::shuffle(batch.begin(), batch.end(), random);
    std::vector<storage::Command*> commands;
    for (const auto& command : batch) commands.push_back(command.get());
    RunAll(commands);
    for (const auto& command : made) names.push_back(command->response().token().name());
    now_ += absl::Seconds(pick(5));
    ASSERT_EQ(instruments::LiveCountFaults(*View()), "") << "after step " << step;
  }
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
  again.set_allow_empty(true);
  for (int i = 0; i < 70; ++i) {
    now_ += absl::Hours(1);
    ASSERT_TRUE(Do(RevokeCohortCommand::Make(again, "local")).ok());
    EXPECT_EQ(read(first).SerializeAsString(), before.SerializeAsString());
  }
  EXPECT_EQ(StateOf(first), tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_EQ(read(second).reason(), "another");
  EXPECT_EQ(StateOf(expired), tollgate::v1::TOKEN_STATE_EXPIRED);
  // Those that ended any.
  const auto record = storage::GetRecord<tollgate::store::v1::CohortRecord>(
      *View(), storage::Table::kCohorts, storage::CohortKey("acme", ""));
  EXPECT_EQ((*record)->earlier_size(), 2);
  EXPECT_EQ((*record)->earlier(0).earlier_size(), 0);
}

TEST_F(CohortTest, Refusals) {
  EXPECT_EQ(Reason(Do(RevokeCohortCommand::Make(Of(), "local"))), "WORKSPACE_NOT_FOUND");
  EXPECT_EQ(Reason(CountCohort(*View(), Of(), "local", now_)), "WORKSPACE_NOT_FOUND");
  Made("a");
  Made("b");
  auto request = Of();
  request.set_expected_count(3);
  for (const auto& status : {Do(RevokeCohortCommand::Make(request, "local")).status(),
                             CountCohort(*View(), request, "local", now_).status()}) {
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
  EXPECT_EQ(Reason(CountCohort(*View(), request, "local", now_)), "REASON_TOO_LONG");
}

}  // namespace
}  // namespace tollgate::service
