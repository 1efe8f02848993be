// A journal whose last entry is not in the store: what it takes away is taken away anew.
#include "service/restore/unfinished_entry.h"

#include <cstdlib>
#include <filesystem>

#include "service/records/held_token.h"
#include "service/tokens/revoke_cohort.h"
#include "service/tokens/update_token.h"
#include "tests/instruments/audit_chain.h"
#include "tests/instruments/fault_engine.h"
#include "tests/unit/service/command_fixture.h"

namespace tollgate::service {
namespace {

using tollgate::v1::Token;

class StandingClock : public base::Clock {
 public:
  base::BootTime Now() const override { return base::BootTime(); }
  absl::Time WallNow() const override { return absl::FromUnixSeconds(1'790'000'100); }
};

class UnfinishedEntryTest : public CommandTest {
 protected:
  UnfinishedEntryTest() {
    std::string made = ::testing::TempDir() + "unfinished-XXXXXX";
    folder_ = ::mkdtemp(made.data());
    store_ = std::make_unique<instruments::FaultEngine>(std::move(engine_));
    Open();
  }
  ~UnfinishedEntryTest() override {
    journaled_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Open() {
    journaled_ = storage::JournaledEngine::Open(store_.get(), folder_ + "/journal").value();
  }
  absl::Status Commit(storage::Command& command) {
    const auto outcome =
        storage::RunBatch(*journaled_->NewSnapshot().value(), now_, {&command}).value();
    RETURN_IF_ERROR(outcome.results[0].status());
    return journaled_->Commit(outcome.request).status();
  }
  // As it is shown to a caller.
  Token Make(const std::string& label, const std::string& owner = "") {
    auto request = Ask(label);
    request.mutable_token()->set_owner(owner);
    auto command = CreateTokenCommand::Make(request, "local", Mint()).value();
    EXPECT_TRUE(Commit(*command).ok());
    return command->response().token();
  }
  // Its entry is journaled, its commit lost; the service starts again, and brings it to an end.
  void Lose(storage::Command& command) {
    store_->FailNextCommit(absl::UnavailableError("power"));
    ASSERT_FALSE(Commit(command).ok());
    const std::string path = folder_ + "/journal";
    std::filesystem::copy_file(path, path + ".kept");
    journaled_.reset();
    std::filesystem::rename(path + ".kept", path);
    for (int start = 0; start < 2; ++start) {  // the second one has nothing left to do
      Open();
      EXPECT_EQ(journaled_->unfinished().has_value(), start == 0);
      const int64_t head = Revision();
      {
        storage::Sequencer::Options options;
        options.engine = journaled_.get();
        options.clock = &clock_;
        const auto sequencer = storage::Sequencer::Start(options).value();
        EXPECT_TRUE(FinishJournal(*journaled_, *sequencer).ok());
      }
      EXPECT_FALSE(journaled_->unfinished().has_value());
      if (start == 0) committed_ = Revision() - head;
      if (start == 1) {
        EXPECT_EQ(Revision(), head);
      }
      journaled_.reset();
    }
    Open();
  }
  int64_t Revision() { return store_->NewSnapshot().value()->revision(); }
  HeldToken Held(const Token& token) {
    return LoadToken(*store_->NewSnapshot().value(), "acme", token.token_id()).value();
  }
  tollgate::v1::TokenState State(const Token& token) { return Held(token).StateAt(now_); }
  std::vector<std::string> Audited() {
    std::vector<std::string> actions;
    EXPECT_TRUE(instruments::VerifyAuditChain(*store_->NewSnapshot().value(),
                                              [&](const store::v1::AuditRecord& entry) {
                                                if (entry.action() == "journal.anew") {
                                                  actions.push_back(entry.details().at("change"));
                                                }
                                              })
                    .ok());
    return actions;
  }

  StandingClock clock_;
  std::string folder_;
  std::unique_ptr<instruments::FaultEngine> store_;
  std::unique_ptr<storage::JournaledEngine> journaled_;
  int64_t committed_ = 0;  // commits that the end of the lost one took
};

TEST_F(UnfinishedEntryTest, ARevocationIsCommittedAnew) {
  const Token token = Make("a");
  const Token other = Make("b");
  tollgate::v1::RevokeTokenRequest request;
  request.set_name(token.name());
  request.set_reason("in a gist");
  Lose(*RevokeTokenCommand::Make(request, "local").value());
  EXPECT_EQ(State(token), tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_EQ(Held(token).record.reason(), "in a gist");
  EXPECT_EQ(State(other), tollgate::v1::TOKEN_STATE_ACTIVE);
  EXPECT_EQ(committed_, 1);
  EXPECT_THAT(Audited(), ::testing::ElementsAre("KIND_REVOKED"));
}

TEST_F(UnfinishedEntryTest, ASuspensionIsCommittedAnewAndAResumptionIsNot) {
  const Token token = Make("a");
  tollgate::v1::SuspendTokenRequest suspend;
  suspend.set_name(token.name());
  Lose(*SuspendTokenCommand::Make(suspend, "local").value());
  EXPECT_EQ(State(token), tollgate::v1::TOKEN_STATE_SUSPENDED);
  EXPECT_THAT(Audited(), ::testing::ElementsAre("SUSPENDED"));
  tollgate::v1::ResumeTokenRequest resume;
  resume.set_name(token.name());
  Lose(*ResumeTokenCommand::Make(resume, "local").value());
  EXPECT_EQ(State(token), tollgate::v1::TOKEN_STATE_SUSPENDED) << "nothing is given";
  EXPECT_EQ(committed_, 0);
}

TEST_F(UnfinishedEntryTest, ACohortHasItsNewPlace) {
  const Token token = Make("a", "team");
  const Token other = Make("b", "others");
  tollgate::v1::RevokeTokensRequest request;
  request.set_parent("workspaces/acme");
  request.set_owner("team");
  Lose(*RevokeCohortCommand::Make(request, "local").value());
  const Token later = Make("c", "team");
  EXPECT_EQ(State(token), tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_EQ(State(other), tollgate::v1::TOKEN_STATE_ACTIVE);
  EXPECT_EQ(State(later), tollgate::v1::TOKEN_STATE_ACTIVE);
  const auto cohort = storage::GetRecord<store::v1::CohortRecord>(
                          *store_->NewSnapshot().value(), storage::Table::kCohorts,
                          storage::CohortKey("acme", "team"))
                          .value();
  EXPECT_EQ(cohort->revision(), 3) << "the commit that took it anew";
  EXPECT_THAT(Audited(), ::testing::ElementsAre("COHORT"));
}

TEST_F(UnfinishedEntryTest, OfARotationNothingIsThere) {
  const Token token = Make("a");
  tollgate::v1::RotateTokenRequest request;
  request.set_name(token.name());
  *request.mutable_retire_plan()->mutable_at_time() = base::ToProto(now_ + absl::Hours(1));
  Lose(*RotateTokenCommand::Make(request, "local", Mint()).value());
  EXPECT_EQ(State(token), tollgate::v1::TOKEN_STATE_ACTIVE);
  EXPECT_FALSE(Held(token).record.has_retirement()) << "its replacement never was";
  EXPECT_TRUE(Held(token).record.replaced_by_token_id().empty());
  EXPECT_EQ(store_->NewSnapshot().value()->Scan(storage::Table::kTokens, "", "", 10)->size(), 1u);
  EXPECT_EQ(committed_, 0);
}

}  // namespace
}  // namespace tollgate::service
