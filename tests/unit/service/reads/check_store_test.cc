#include "service/reads/check_store.h"

#include "service/tokens/revoke_cohort.h"
#include "storage/overlay_view.h"
#include "storage/tombstone.h"
#include "tests/unit/service/command_fixture.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::tollgate::v1::CheckStoreResponse;

class CheckStoreTest : public CommandTest {
 protected:
  CheckStoreResponse Found() { return CheckStore(*View()).value(); }
  tollgate::store::v1::TokenRecord RecordOf(const tollgate::v1::Token& token) {
    return *storage::GetRecord<tollgate::store::v1::TokenRecord>(
                *View(), storage::Table::kTokens, storage::TokenKey("acme", token.token_id()))
                .value();
  }
};

TEST_F(CheckStoreTest, ASoundStoreHasNoFault) {
  EXPECT_EQ(Found().tokens(), 0);
  Made("a", "team-a");
  const auto b = Made("b", "team-b");
  Made("c", "");
  ASSERT_TRUE(RevokeOne(b.name()).ok());
  tollgate::v1::RevokeTokensRequest cohort;
  cohort.set_parent("workspaces/acme");
  cohort.set_owner("team-a");
  ASSERT_TRUE(Do(RevokeCohortCommand::Make(cohort, "local")).ok());
  const CheckStoreResponse found = Found();
  EXPECT_EQ(found.workspaces(), 1);
  EXPECT_EQ(found.tokens(), 3);
  EXPECT_EQ(found.live_tokens(), 1);
  EXPECT_EQ(found.fault_count(), 0);
  EXPECT_THAT(found.faults(), IsEmpty());
}

TEST_F(CheckStoreTest, CountsThatTheTokensDoNotBearOutAreTold) {
  Made("a", "team-a");
  Harm([](storage::Effects& effects) { effects.CountLive("acme", "team-b", 2); });
  const CheckStoreResponse found = Found();
  EXPECT_EQ(found.fault_count(), 2);
  EXPECT_THAT(found.faults(),
              ElementsAre("acme: 3 live tokens are counted, and there are 1",
                          "acme, owner team-b: 2 live tokens are counted, and there are 0"));
}

TEST_F(CheckStoreTest, ATokenThatIsNotFoundByItsStringIsTold) {
  const auto a = RecordOf(Made("a", "team-a")), b = RecordOf(Made("b", "team-a"));
  Harm([&](storage::Effects& effects) {
    effects.Delete(storage::Table::kDigests, a.stored_digest());
    tollgate::store::v1::DigestRecord astray;
    astray.set_workspace("acme");
    astray.set_token_id(a.token_id());
    effects.Put(storage::Table::kDigests, b.stored_digest(), astray);
  });
  EXPECT_EQ(Found().fault_count(), 2);
}

TEST_F(CheckStoreTest, AHistoryThatIsNotTheLogsIsTold) {
  const auto a = Made("a", "team-a");
  ASSERT_TRUE(Suspend(a.name()).ok());
  const auto key = [&](int64_t revision) {
    return storage::AuditByTokenKey("acme", a.token_id(), storage::AuditKey(revision, 0));
  };
  const auto snapshot = View();
  storage::OverlayView without(snapshot.get());
  without.Apply({storage::Table::kAuditByToken, key(2), absl::nullopt});
  EXPECT_THAT(CheckStore(without).value().faults(),
              ElementsAre(absl::StrCat("audit entry 2.0 (token.suspend) is not in the history of ",
                                       a.name())));
  storage::OverlayView with(snapshot.get());
  with.Apply({storage::Table::kAuditByToken, key(3), ""});
  EXPECT_THAT(CheckStore(with).value().faults(),
              ElementsAre("histories of tokens have 3 entries, and the audit log has 2 about "
                          "tokens"));
}

TEST_F(CheckStoreTest, TombstonesAndWhatContradictsThemAreTold) {
  const auto a = RecordOf(Made("a")), b = RecordOf(Made("b")), c = RecordOf(Made("c"));
  const auto bury = [](const tollgate::store::v1::TokenRecord& record, bool take_record,
                       storage::Effects& effects) {
    auto ended = record;
    ended.mutable_ending()->set_kind(tollgate::store::v1::Ending::KIND_REVOKED);
    effects.Put(storage::Table::kDigests, record.stored_digest(), storage::PurgedDigest(ended));
    if (!take_record) return;
    effects.Delete(storage::Table::kTokens, storage::TokenKey("acme", record.token_id()));
    effects.CountLive("acme", record.owner(), -1);
  };
  Harm([&](storage::Effects& effects) { bury(a, true, effects); });
  EXPECT_EQ(Found().fault_count(), 0);
  EXPECT_EQ(Found().tokens(), 2);
  EXPECT_EQ(Found().purged_tokens(), 1);

  Harm([&](storage::Effects& effects) {
    bury(b, false, effects);  // and the record is there
    effects.Delete(storage::Table::kTokens, storage::TokenKey("acme", c.token_id()));
    effects.CountLive("acme", "", -1);
    auto untold = storage::PurgedDigest(a);  // it does not say how
    effects.Put(storage::Table::kDigests, a.stored_digest(), untold);
  });
  EXPECT_THAT(
      Found().faults(),
      testing::UnorderedElementsAre(
          absl::StrCat("token ", b.token_id(), " of acme is purged, and there"),
          absl::StrCat("a token string finds ", c.token_id(),
                       " of acme, and there is no such token"),
          absl::StrCat("it is not told how the purged token ", a.token_id(), " of acme ended")));
}

TEST_F(CheckStoreTest, TokensWithoutTheirWorkspaceAreTold) {
  Made("a");
  Harm([](storage::Effects& effects) { effects.Delete(storage::Table::kWorkspaces, "acme"); });
  EXPECT_THAT(Found().faults(),
              ElementsAre("there are tokens of acme, and there is no such workspace"));
}

TEST_F(CheckStoreTest, OfManyFaultsTheFirstAreTold) {
  Made("a", "team-a");
  Harm([](storage::Effects& effects) {
    for (int i = 0; i < 50; ++i) effects.CountLive("acme", absl::StrCat("team-", 100 + i), 1);
  });
  EXPECT_EQ(Found().fault_count(), 51);
  EXPECT_EQ(Found().faults_size(), 20);
}

}  // namespace
}  // namespace tollgate::service
