#include "service/reads/check_store.h"

#include "service/tokens/revoke_cohort.h"
#include "storage/overlay_view.h"
#include "tests/unit/service/command_fixture.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::tollgate::v1::CheckStoreResponse;

// Writes what no command would.
class Damage : public storage::Command {
 public:
  explicit Damage(std::function<void(storage::Effects&)> what) : what_(std::move(what)) {}
  absl::string_view name() const override { return "damage"; }
  absl::Status Run(const storage::View&, const storage::Slot&, storage::Effects& effects) override {
    what_(effects);
    return absl::OkStatus();
  }

 private:
  const std::function<void(storage::Effects&)> what_;
};

class CheckStoreTest : public CommandTest {
 protected:
  CheckStoreResponse Found() { return CheckStore(*View()).value(); }
  void Harm(std::function<void(storage::Effects&)> what) {
    Damage damage(std::move(what));
    ASSERT_TRUE(RunOne(damage).ok());
  }
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
