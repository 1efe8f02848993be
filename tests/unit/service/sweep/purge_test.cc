// What becomes of tokens that ended long ago.
#include "base/proto_time.h"
#include "service/records/retention.h"
#include "service/sweep/sweep.h"
#include "service/tokens/cancel_rotation.h"
#include "service/tokens/revoke_cohort.h"
#include "service/tokens/revoke_leaked_token.h"
#include "service/workspaces/delete_workspace.h"
#include "storage/live_count.h"
#include "storage/tombstone.h"
#include "tests/unit/service/command_fixture.h"
#include "tests/unit/service/stand_ins.h"

namespace tollgate::service {
namespace {

using ::testing::IsEmpty;
using ::tollgate::store::v1::DigestRecord;
using ::tollgate::store::v1::Ending;
using ::tollgate::store::v1::TokenRecord;

constexpr absl::Duration kDay = absl::Hours(24);

class PurgeTest : public CommandTest {
 protected:
  SweepCommand::Result Sweep(SweepCommand::Limits limits = {}) {
    SweepCommand sweep(limits, AllHeard(now_), "");
    const absl::Status status = RunOne(sweep);
    EXPECT_TRUE(status.ok()) << status;
    return sweep.result();
  }
  size_t SweepAll(SweepCommand::Limits limits = {}) {
    size_t purged = 0;
    for (int i = 0; i < 1000; ++i) {
      const auto result = Sweep(limits);
      purged += result.purged;
      if (!result.more) return purged;
    }
    ADD_FAILURE() << "the sweep does not end";
    return purged;
  }
  // Zero: keep; nullopt: the usual.
  void Retain(absl::optional<absl::Duration> retention) {
    tollgate::v1::WorkspacePolicy policy;
    if (retention.has_value()) *policy.mutable_ended_retention() = base::ToProto(*retention);
    ASSERT_TRUE(SetPolicy(policy).ok());
  }
  absl::optional<TokenRecord> Record(const tollgate::v1::Token& token) {
    return storage::GetRecord<TokenRecord>(*View(), storage::Table::kTokens,
                                           storage::TokenKey("acme", token.token_id()))
        .value();
  }
  absl::optional<DigestRecord> Digest(absl::string_view stored_digest) {
    return storage::GetRecord<DigestRecord>(*View(), storage::Table::kDigests, stored_digest)
        .value();
  }
  bool IsThere(const tollgate::v1::Token& token) { return Record(token).has_value(); }
};

TEST_F(PurgeTest, ATokenThatEndedLongAgoLeavesItsDigestAndHowItEnded) {
  const auto token = Made("a", "team-a");
  const auto live = Made("b", "team-a");
  Use(token, "payments/edge-3", now_);
  Use(live, "payments/edge-3", now_);
  ASSERT_TRUE(RevokeOne(token.name()).ok());
  const TokenRecord before = *Record(token);
  const size_t audit = Count(storage::Table::kAudit);
  now_ += kUsualEndedRetention - absl::Seconds(1);
  EXPECT_EQ(SweepAll(), 0u);
  EXPECT_TRUE(IsThere(token));
  now_ += absl::Seconds(1);
  EXPECT_EQ(Sweep().purged, 1u);
  EXPECT_THAT(events_, IsEmpty());
  EXPECT_EQ(Count(storage::Table::kAudit), audit);
  EXPECT_FALSE(IsThere(token));
  EXPECT_TRUE(IsThere(live));
  EXPECT_EQ(Count(storage::Table::kUse), 1u);

  const auto digest = Digest(before.stored_digest());
  ASSERT_TRUE(digest.has_value());
  ASSERT_TRUE(digest->has_tombstone());
  EXPECT_EQ(digest->tombstone().ending().kind(), Ending::KIND_REVOKED);
  EXPECT_EQ(digest->tombstone().ending().actor(), "local");
  const TokenRecord left = storage::RecordOfPurged(*digest, before.stored_digest());
  EXPECT_EQ(token::ToGrant(left, {}).state(), tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_EQ(left.ending().revision(), before.ending().revision());
  EXPECT_EQ(storage::LiveTokens(*View(), "acme", "team-a").value(), 1);
  // And nothing is left to do.
  const int64_t head = Head();
  EXPECT_EQ(SweepAll(), 0u);
  EXPECT_EQ(Head(), head);
}

TEST_F(PurgeTest, EveryWayToEndIsToldAfterwards) {
  tollgate::v1::CreateTokenRequest lasting = Ask("expires");
  lasting.mutable_lifetime()->set_seconds(10);
  const auto expired = (*Create(lasting))->response().token();
  const auto cohort = Made("cohort", "team-a");
  tollgate::v1::RevokeTokensRequest revoke;
  revoke.set_parent("workspaces/acme");
  revoke.set_owner("team-a");
  ASSERT_TRUE(Do(RevokeCohortCommand::Make(revoke, "ops")).ok());
  const std::string expired_digest = Record(expired)->stored_digest();
  const std::string cohort_digest = Record(cohort)->stored_digest();
  now_ += absl::Seconds(20);
  SweepAll();
  now_ += kUsualEndedRetention;
  EXPECT_EQ(SweepAll(), 2u);
  const auto state = [&](const std::string& digest) {
    return token::ToGrant(storage::RecordOfPurged(*Digest(digest), digest), {}).state();
  };
  EXPECT_EQ(state(expired_digest), tollgate::v1::TOKEN_STATE_EXPIRED);
  EXPECT_EQ(state(cohort_digest), tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_EQ(Digest(cohort_digest)->tombstone().ending().kind(), Ending::KIND_COHORT);
  EXPECT_EQ(Digest(cohort_digest)->tombstone().ending().actor(), "ops");
  EXPECT_EQ(storage::LiveTokens(*View(), "acme").value(), 0);

  // Its history has the watermark's entry, and the log's check has nothing against that.
  const std::string rows = storage::AuditByTokenKey("acme", cohort.token_id(), "");
  const auto history =
      View()->Scan(storage::Table::kAuditByToken, rows, storage::PrefixEnd(rows), 10).value();
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(storage::AuditKeyOf(history[1].key).value(),
            storage::AuditKey(Digest(cohort_digest)->tombstone().ending().revision(), 0));
  EXPECT_EQ(history[1].value, storage::kEndedWithOthers);
}

TEST_F(PurgeTest, ATombstoneThatIsDamagedStillEndsItsToken) {
  DigestRecord untold;
  untold.mutable_tombstone();
  EXPECT_EQ(token::ToGrant(storage::RecordOfPurged(untold, "d"), {}).state(),
            tollgate::v1::TOKEN_STATE_REVOKED);
}

TEST_F(PurgeTest, APurgedStringIsNeitherNewNorUnknown) {
  const MintedToken minted = Mint();
  const auto made = Do(CreateTokenCommand::Make(Ask("a"), "local", minted));
  const auto token = (*made)->response().token();
  ASSERT_TRUE(RevokeOne(token.name()).ok());
  now_ += kUsualEndedRetention;
  ASSERT_EQ(SweepAll(), 1u);
  EXPECT_EQ(Reason(Do(CreateTokenCommand::Make(Ask("again"), "local", minted))), "TOKEN_ID_TAKEN");
  LeakedToken leaked{{{1, minted.stored_digest}}, "a gist", ""};
  const auto found = Do(RevokeLeakedTokenCommand::Make(leaked, "finder"));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE((*found)->response().unchanged());
  EXPECT_EQ((*found)->response().token().name(), token.name());
  EXPECT_EQ((*found)->response().token().state(), tollgate::v1::TOKEN_STATE_REVOKED);
  const absl::Status gone = RevokeOne(token.name()).status();
  EXPECT_EQ(base::ReasonOf(gone), "TOKEN_NOT_FOUND");
  EXPECT_THAT(std::string(gone.message()),
              testing::HasSubstr("any more: it ended, and was purged"));
  const auto never = RevokeOne("workspaces/acme/tokens/0000000000000000");
  EXPECT_EQ(never.status().message(), "there is no workspaces/acme/tokens/0000000000000000");
}

TEST_F(PurgeTest, ThePolicyAsItIsDecides) {
  const auto first = Made("a"), second = Made("b");
  ASSERT_TRUE(RevokeOne(first.name()).ok());
  Retain(absl::ZeroDuration());  // keep
  ASSERT_TRUE(RevokeOne(second.name()).ok());
  now_ += 2 * kUsualEndedRetention;
  EXPECT_EQ(SweepAll(), 0u);
  EXPECT_TRUE(IsThere(first) && IsThere(second));
  Retain(2 * kUsualEndedRetention + 3 * kDay);  // reaches both
  EXPECT_EQ(SweepAll(), 0u);
  Retain(2 * kUsualEndedRetention + 5 * kDay);  // and longer
  now_ += 4 * kDay;
  EXPECT_EQ(SweepAll(), 0u);
  Retain(kDay);  // and shorter
  // The plans that one sweep makes anew are the next one's.
  EXPECT_EQ(SweepAll(), 0u);
  EXPECT_EQ(SweepAll(), 2u);
  EXPECT_EQ(Count(storage::Table::kTokens), 0u);
  while (Count(storage::Table::kDue) > 0) {  // plans that have come to nothing
    now_ += kDay;
    SweepAll();
  }
}

TEST_F(PurgeTest, IsBoundedInEveryStep) {
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(RevokeOne(Made(absl::StrCat("t", i)).name()).ok());
  now_ += kUsualEndedRetention;  // all seven plans are due
  SweepCommand::Limits limits;
  limits.max_purged = 2;
  for (const size_t purged : {2u, 2u, 2u, 1u}) {
    const auto result = Sweep(limits);
    EXPECT_EQ(result.purged, purged);
    EXPECT_EQ(result.more, purged == 2);
  }
  EXPECT_EQ(Count(storage::Table::kTokens), 0u);
}

TEST_F(PurgeTest, ANewRetentionReachesSoManyAStepOverAllWorkspaces) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(RevokeOne(Made(absl::StrCat("t", i)).name()).ok());
  Retain(absl::ZeroDuration());
  now_ += kUsualEndedRetention;
  SweepAll();
  ASSERT_EQ(Count(storage::Table::kDue), 0u);
  Retain(kDay);
  SweepCommand::Limits limits;
  limits.max_purged = 2;
  EXPECT_TRUE(Sweep(limits).more);
  EXPECT_EQ(Count(storage::Table::kDue), 3u) << "two plans, and where to go on";
  EXPECT_EQ(SweepAll(limits), 5u);
}

TEST_F(PurgeTest, RowsOfUseBoundAStepAndGoBeforeTheRecord) {
  std::vector<tollgate::v1::Token> tokens;
  for (int i = 0; i < 3; ++i) {
    tokens.push_back(Made(absl::StrCat("t", i)));
    for (int edge = 0; edge < 5; ++edge) Use(tokens[i], absl::StrCat("edge-", edge), now_);
    ASSERT_TRUE(RevokeOne(tokens[i].name()).ok());
  }
  now_ += kUsualEndedRetention;
  SweepCommand::Limits limits;
  limits.max_uses = 4;
  auto result = Sweep(limits);
  EXPECT_EQ(result.purged, 0u);
  EXPECT_TRUE(result.more);
  EXPECT_EQ(Count(storage::Table::kUse), 11u);
  EXPECT_TRUE(IsThere(tokens[0]));
  size_t steps = 1;
  for (size_t purged = 0; purged < 3; ++steps) {
    const size_t before = Count(storage::Table::kUse);
    purged += Sweep(limits).purged;
    EXPECT_LE(before - Count(storage::Table::kUse), 4u);
    ASSERT_LT(steps, 20u);
  }
  EXPECT_EQ(Count(storage::Table::kUse), 0u);
}

TEST_F(PurgeTest, AReplacementIsKeptWhileWhatItReplacesIsAlive) {
  const auto old = Made("a");
  const auto rotated = Rotate(old.name(), absl::Hours(1));
  const auto replacement = (*rotated)->response().token();
  ASSERT_TRUE(RevokeOne(replacement.name()).ok());
  now_ += kUsualEndedRetention;
  EXPECT_EQ(SweepAll(), 0u);
  EXPECT_TRUE(IsThere(replacement));
  ASSERT_TRUE(RevokeOne(old.name()).ok());
  now_ += absl::Hours(2);
  EXPECT_EQ(SweepAll(), 1u);
  EXPECT_FALSE(IsThere(replacement));
  EXPECT_TRUE(IsThere(old));
}

TEST_F(PurgeTest, AChainLivesOnWithoutItsFirstMembers) {
  const auto first = Made("a");
  const auto second = (*Rotate(first.name()))->response().token();
  ASSERT_TRUE(RevokeOne(first.name()).ok());
  now_ += kUsualEndedRetention;
  EXPECT_EQ(SweepAll(), 1u);
  EXPECT_FALSE(IsThere(first));
  EXPECT_EQ(Record(second)->replaces_token_id(), first.token_id());
  const auto third = Rotate(second.name(), absl::Hours(1));
  ASSERT_TRUE(third.ok()) << third.status();
  Use((*third)->response().token(), "edge-1", now_ + absl::Hours(1));
  now_ += absl::Hours(3);
  EXPECT_EQ(Sweep().retired, 1u);
}

// What is above in the chain is judged by all below it.
TEST_F(PurgeTest, AChainIsKeptWhileItsFirstMemberIsAlive) {
  const auto old = Made("a");
  const auto first = (*Rotate(old.name(), absl::Hours(1)))->response().token();
  const auto second = (*Rotate(first.name(), absl::Hours(1)))->response().token();
  const auto third = (*Rotate(second.name(), absl::Hours(1)))->response().token();
  ASSERT_TRUE(RevokeOne(first.name()).ok());
  ASSERT_TRUE(RevokeOne(second.name()).ok());
  now_ += kUsualEndedRetention;
  EXPECT_EQ(SweepAll(), 0u);
  EXPECT_TRUE(IsThere(first) && IsThere(second));
  Use(third, "edge-1", now_);
  now_ += absl::Hours(3);
  EXPECT_EQ(Sweep().retired, 1u) << "the way from the old one to the third is there";
  now_ += absl::Hours(2);
  EXPECT_EQ(SweepAll(), 2u);
}

// Each member asks for those above it, and those above go in the same step.
TEST_F(PurgeTest, AnEndedChainIsReadOnce) {
  std::vector<tollgate::v1::Token> chain = {Made("a")};
  for (int i = 0; i < 40; ++i) {
    chain.push_back((*Rotate(chain.back().name(), absl::Hours(1)))->response().token());
  }
  for (const auto& token : chain) ASSERT_TRUE(RevokeOne(token.name()).ok());
  now_ += kUsualEndedRetention;
  SweepCommand::Limits limits;
  limits.max_uses = 50;
  EXPECT_EQ(Sweep(limits).purged, chain.size());
}

// A live one above keeps them all; that is found in bounded steps, and looked at again later.
TEST_F(PurgeTest, AChainThatIsKeptIsLookedAtInBoundedSteps) {
  const auto old = Made("a");
  tollgate::v1::Token at = (*Rotate(old.name(), absl::Hours(1)))->response().token();
  for (int i = 0; i < 10; ++i) {
    const auto next = (*Rotate(at.name(), absl::Hours(1)))->response().token();
    ASSERT_TRUE(RevokeOne(at.name()).ok());
    at = next;
  }
  now_ += kUsualEndedRetention;
  SweepCommand::Limits limits;
  limits.max_uses = 8;
  size_t steps = 1;
  while (Sweep(limits).more) ASSERT_LT(++steps, 20u);
  EXPECT_GT(steps, 3u) << "1 + 2 + … + 10 are read";
  EXPECT_EQ(Count(storage::Table::kTokens), 12u);
}

TEST_F(PurgeTest, OneTokensManyRowsAreGoneOnWithAtOnce) {
  const auto token = Made("a");
  for (int edge = 0; edge < 5; ++edge) Use(token, absl::StrCat("edge-", edge), now_);
  ASSERT_TRUE(RevokeOne(token.name()).ok());
  now_ += kUsualEndedRetention;
  SweepCommand::Limits limits;
  limits.max_uses = 2;
  EXPECT_TRUE(Sweep(limits).more);
  EXPECT_EQ(SweepAll(limits), 1u);
}

// A rotation was taken back, somebody used its replacement all the same, and the token that it was
// given up for ends and is purged.
TEST_F(PurgeTest, WhatWasGivenUpRetiresBySilenceAlsoWithoutWhatItWasGivenUpFor) {
  const auto old = Made("a");
  const auto given_up = (*Rotate(old.name(), absl::Hours(1)))->response().token();
  tollgate::v1::CancelRotationRequest cancel;
  cancel.set_name(old.name());
  ASSERT_TRUE(Do(CancelRotationCommand::Make(cancel, "ops")).ok());
  Use(given_up, "edge-1", now_);
  ASSERT_TRUE(RevokeOne(old.name()).ok());
  Retain(absl::Minutes(1));
  now_ += absl::Minutes(2);
  Use(given_up, "edge-1", now_);
  EXPECT_EQ(SweepAll(), 0u);  // reaches it
  EXPECT_EQ(SweepAll(), 1u);
  EXPECT_FALSE(IsThere(old));
  EXPECT_EQ(Sweep().retired, 0u) << "it is in use";
  now_ += kDay + absl::Hours(1);
  EXPECT_EQ(Sweep().retired, 1u);
}

// Its value was lost, and another was made instead: by that one's use the lost one retires.
TEST_F(PurgeTest, WhatReplacesAGivenUpTokenIsKeptWhileThatIsAlive) {
  const auto old = Made("a");
  const auto given_up = (*Rotate(old.name(), absl::Hours(1)))->response().token();
  tollgate::v1::RotateTokenRequest again;
  again.set_name(old.name());
  again.set_again(true);
  const auto rotated = Do(RotateTokenCommand::Make(again, "ops", Mint()));
  ASSERT_TRUE(rotated.ok()) << rotated.status();
  const auto replacement = (*rotated)->response().token();
  ASSERT_EQ((*rotated)->response().given_up().state(), tollgate::v1::TOKEN_STATE_RETIRING);
  ASSERT_TRUE(RevokeOne(old.name()).ok());
  ASSERT_TRUE(RevokeOne(replacement.name()).ok());
  Retain(absl::Minutes(1));
  now_ += absl::Minutes(2);
  Use(given_up, "edge-1", now_);  // it was not lost after all
  EXPECT_EQ(SweepAll(), 0u);      // reaches them
  EXPECT_EQ(SweepAll(), 0u);
  EXPECT_TRUE(IsThere(replacement));
  ASSERT_TRUE(RevokeOne(given_up.name()).ok());
  now_ += absl::Hours(2);
  size_t purged = 0;
  for (int i = 0; i < 2; ++i) purged += SweepAll();
  EXPECT_EQ(purged, 3u);
}

// An older service wrote no end into the records of what a watermark ended.
TEST_F(PurgeTest, WhatAWatermarkEndedWithoutAWordInItsRecordIsPurgedToo) {
  const auto token = Made("a", "team-a");
  tollgate::v1::RevokeTokensRequest revoke;
  revoke.set_parent("workspaces/acme");
  revoke.set_owner("team-a");
  ASSERT_TRUE(Do(RevokeCohortCommand::Make(revoke, "ops")).ok());
  Harm([](storage::Effects& effects) {
    effects.Delete(storage::Table::kDue, storage::DueKey(0, storage::DueKind::kWriteEnds, "acme"));
    effects.PutRaw(storage::Table::kDue,
                   storage::DueKey(0, storage::DueKind::kReachPurge, storage::TokenKey("acme", "")),
                   "");
  });
  now_ += kUsualEndedRetention;
  size_t purged = 0;
  for (int i = 0; i < 4; ++i) purged += SweepAll();
  EXPECT_EQ(purged, 1u);
  EXPECT_FALSE(IsThere(token));
}

// A token counts against its workspace's cap until the sweep has ended it.
TEST_F(PurgeTest, WhatHasExpiredMakesRoomOnceItIsSwept) {
  tollgate::v1::WorkspacePolicy policy;
  policy.set_max_live_tokens(1);
  ASSERT_TRUE(SetPolicy(policy).ok());
  auto ask = Ask("short");
  ask.mutable_lifetime()->set_seconds(60);
  ASSERT_TRUE(Create(ask).ok());
  now_ += absl::Seconds(61);
  EXPECT_EQ(Reason(Create(Ask("next"))), "TOO_MANY_TOKENS");
  EXPECT_EQ(Sweep().expired, 1u);
  EXPECT_TRUE(Create(Ask("next")).ok());
}

TEST_F(PurgeTest, AWorkspaceOfPurgedTokensIsEmpty) {
  const auto token = Made("a", "team-a");
  tollgate::v1::RevokeTokensRequest revoke;
  revoke.set_parent("workspaces/acme");
  ASSERT_TRUE(Do(RevokeCohortCommand::Make(revoke, "ops")).ok());
  const std::string stored_digest = Record(token)->stored_digest();
  SweepAll();
  tollgate::v1::DeleteWorkspaceRequest request;
  request.set_name("workspaces/acme");
  EXPECT_EQ(Reason(Do(DeleteWorkspaceCommand::Make(request, "ops"))), "WORKSPACE_NOT_EMPTY");
  now_ += kUsualEndedRetention;
  ASSERT_EQ(SweepAll(), 1u);
  ASSERT_TRUE(Do(DeleteWorkspaceCommand::Make(request, "ops")).ok());
  SweepAll();
  // The same name again; the former's token is still no unknown one, and still revoked.
  const auto again = Made("b", "team-a");
  EXPECT_EQ(again.state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  EXPECT_EQ(storage::LiveTokens(*View(), "acme", "team-a").value(), 1);
  EXPECT_EQ(
      token::ToGrant(storage::RecordOfPurged(*Digest(stored_digest), stored_digest), {}).state(),
      tollgate::v1::TOKEN_STATE_REVOKED);
}

}  // namespace
}  // namespace tollgate::service
