// Restoring real stores in real folders.
#include "service/restore/restore.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/records/held_token.h"
#include "service/restore/restore_program.h"
#include "service/store_home.h"
#include "service/tokens/create_token.h"
#include "service/tokens/revoke_token.h"
#include "storage/engines.h"
#include "storage/journal/journaled_engine.h"
#include "storage/schema.h"
#include "storage/sequencer.h"

namespace tollgate::service {
namespace {

using store::v1::MetaRecord;
using ::testing::HasSubstr;

class RestoreTest : public ::testing::Test {
 protected:
  RestoreTest() {
    std::string made = "/tmp/restore_test.XXXXXX";
    home_ = mkdtemp(&made[0]);
    store_ = home_ + "/store";
    journal_ = home_ + "/store.journal";
    options_.from = home_ + "/backup";
    options_.store = home_ + "/again";
    options_.journal = journal_;
  }
  ~RestoreTest() override {
    Close();
    std::filesystem::remove_all(home_);
  }

  void Open(const std::string& path, bool journaled = true) {
    Close();
    storage::EngineOpenOptions options;
    options.location = path;
    options.random = &base::SystemRandom();
    options.clock = &base::SystemClock();
    engine_ = storage::Engines().default_driver().Open(options).value();
    if (journaled) journaled_ = storage::JournaledEngine::Open(engine_.get(), journal_).value();
  }
  void Close() {
    journaled_.reset();
    engine_.reset();
  }
  storage::Engine& engine() {
    return journaled_ != nullptr ? static_cast<storage::Engine&>(*journaled_) : *engine_;
  }
  absl::Status Run(storage::Command& command) {
    const auto outcome = storage::RunBatch(*engine().NewSnapshot().value(),
                                           base::SystemClock().WallNow(), {&command});
    RETURN_IF_ERROR(outcome->results[0].status());
    return engine().Commit(outcome->request).status();
  }
  std::string Make(char letter) {
    MintedToken minted;
    minted.public_id = std::string(16, letter);
    minted.stored_digest = *token::StoredDigest::FromBytes(std::string(32, letter));
    minted.pepper_id = 1;
    tollgate::v1::CreateTokenRequest request;
    request.set_parent("workspaces/acme");
    request.mutable_token()->set_label("a token");
    auto command = CreateTokenCommand::Make(request, "local", minted).value();
    EXPECT_TRUE(Run(*command).ok());
    return minted.public_id;
  }
  void Revoke(const std::string& id) {
    tollgate::v1::RevokeTokenRequest request;
    request.set_name("workspaces/acme/tokens/" + id);
    auto command = RevokeTokenCommand::Make(request, "local").value();
    EXPECT_TRUE(Run(*command).ok());
  }
  // A store with two tokens, backed up; then the first is revoked.
  void TwoTokensAndABackup() {
    Open(store_);
    first_ = Make('A');
    second_ = Make('B');
    ASSERT_TRUE(engine().Checkpoint(options_.from).ok());
    Revoke(first_);
    Close();
  }
  bool IsFinalNow(const std::string& id) {
    return token::IsFinal(
        LoadToken(*engine().NewSnapshot().value(), "acme", id)->StateAt(absl::Now()));
  }
  MetaRecord Meta() {
    return *storage::GetRecord<MetaRecord>(*engine().NewSnapshot().value(), storage::Table::kMeta,
                                           storage::kMetaKey)
                .value();
  }
  absl::StatusOr<RestoreReport> Restore() {
    return RestoreStore(options_, base::SystemRandom(), base::SystemClock());
  }

  std::string home_, store_, journal_, first_, second_;
  RestoreOptions options_;
  std::unique_ptr<storage::Engine> engine_;
  std::unique_ptr<storage::JournaledEngine> journaled_;
};

TEST_F(RestoreTest, ARevokedTokenStaysRevokedAndTheBackupStaysAsItWas) {
  TwoTokensAndABackup();
  for (int round = 0; round < 2; ++round) {  // the second time from the same backup
    const auto report = Restore();
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(1, report->replay.ended);
    EXPECT_NE(report->epoch, report->epoch_before);
    struct stat status;
    ASSERT_EQ(0, ::stat(options_.store.c_str(), &status));
    EXPECT_EQ(0700u, status.st_mode & 0777);
    EXPECT_FALSE(std::filesystem::exists(options_.store + ".restoring"));
    Open(options_.store, /*journaled=*/round == 0);
    EXPECT_TRUE(IsFinalNow(first_));
    EXPECT_FALSE(IsFinalNow(second_));
    EXPECT_TRUE(Meta().restored());
    EXPECT_EQ(report->epoch, Meta().epoch());
    EXPECT_THAT(Meta().past_epochs(), ::testing::ElementsAre(report->epoch_before));
    if (round == 0) Revoke(second_);
    Close();
    options_.store += "2";
    if (round == 0) {
      const auto third = Restore();
      ASSERT_TRUE(third.ok()) << third.status();
      EXPECT_EQ(2, third->replay.ended);  // of both epochs
      Open(options_.store, /*journaled=*/false);
      EXPECT_THAT(Meta().past_epochs(), ::testing::ElementsAre(report->epoch_before, report->epoch))
          << "the epoch after the backup is known from the journal";
      Close();
      std::filesystem::remove_all(options_.store);
      // What the second history revoked is not this round's matter.
      std::filesystem::remove(journal_);
      Open(store_);
      Close();
      EXPECT_EQ("JOURNAL_GAP", base::ReasonOf(Restore().status()));
      options_.allow_gap = true;
      const auto gap = Restore();
      ASSERT_TRUE(gap.ok()) << gap.status();
      EXPECT_EQ(3, gap->gap_to);
      EXPECT_EQ(0, gap->replay.ended);
      break;
    }
  }
}

TEST_F(RestoreTest, ANewHistoryIsMarkedBeforeAnybodyHearsOfIt) {
  TwoTokensAndABackup();
  const auto restored = Restore();
  ASSERT_TRUE(restored.ok()) << restored.status();
  storage::HeadMark::Head mark = storage::HeadMark(journal_ + ".mark").Read()->value();
  EXPECT_EQ(mark.epoch, restored->epoch);
  EXPECT_EQ(mark.revision, restored->replay.revision);
  EXPECT_EQ(mark.fingerprint.size(), 32u);
  Open(options_.store);  // the journal learns of the epoch
  Close();
  const auto renewed = BeginNewEpoch(options_, base::SystemRandom(), base::SystemClock());
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  mark = storage::HeadMark(journal_ + ".mark").Read()->value();
  EXPECT_EQ(mark.epoch, renewed->epoch);
  EXPECT_EQ(mark.revision, renewed->replay.revision);
}

// R11: what it lost has numbers that it has used again by the time that it is noticed.
TEST_F(RestoreTest, AStoreThatGrewPastWhatItLostIsReplayedWhatItLost) {
  Open(store_);
  first_ = Make('A');
  second_ = Make('B');
  Close();
  std::filesystem::copy(store_, home_ + "/copy");
  Open(store_);
  Revoke(first_);  // revision 3
  Close();
  std::filesystem::remove_all(store_);
  std::filesystem::rename(home_ + "/copy", store_);
  Open(store_, /*journaled=*/false);
  Make('C');  // revision 3, too
  Make('D');
  Close();
  options_.store = store_;
  const auto report = BeginNewEpoch(options_, base::SystemRandom(), base::SystemClock());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->replay.ended, 1);
  Open(store_, /*journaled=*/false);
  EXPECT_TRUE(IsFinalNow(first_));
  EXPECT_FALSE(IsFinalNow(second_));
}

TEST_F(RestoreTest, NothingIsRestoredOverAStore) {
  TwoTokensAndABackup();
  options_.store = store_;
  EXPECT_EQ("RESTORE_TARGET_NOT_EMPTY", base::ReasonOf(Restore().status()));
  options_.store = home_ + "/empty";
  std::filesystem::create_directory(options_.store);
  EXPECT_TRUE(Restore().ok());
  options_.store = home_ + "/third/";
  EXPECT_TRUE(Restore().ok());
  options_.from = home_ + "/nothing";
  options_.store = home_ + "/fourth";
  EXPECT_EQ("BACKUP_NOT_FOUND", base::ReasonOf(Restore().status()));
}

TEST_F(RestoreTest, WithoutAJournalItMustBeSaid) {
  TwoTokensAndABackup();
  options_.journal.clear();
  const auto refused = Restore();
  EXPECT_EQ("JOURNAL_REQUIRED", base::ReasonOf(refused.status()));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("after revision 2 ("));
  EXPECT_FALSE(std::filesystem::exists(options_.store));
  EXPECT_FALSE(std::filesystem::exists(options_.store + ".restoring"));
  options_.without_journal = true;
  const auto report = Restore();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(DescribeRestore(*report, true), HasSubstr("is good again"));
  Open(options_.store, /*journaled=*/false);
  EXPECT_FALSE(IsFinalNow(first_));
  EXPECT_TRUE(Meta().restored());
}

TEST_F(RestoreTest, AJournalThatEndsBeforeTheBackupIsRefused) {  // R17
  Open(store_);
  first_ = Make('A');
  Close();
  const std::string old_copy = home_ + "/old.journal";
  std::filesystem::copy_file(journal_, old_copy);
  // The service goes on without it: the backup and the revocation are not in the copy.
  Open(store_, /*journaled=*/false);
  second_ = Make('B');
  ASSERT_TRUE(engine().Checkpoint(options_.from).ok());
  Revoke(first_);
  Close();
  options_.journal = old_copy;
  const auto refused = Restore();
  EXPECT_EQ("JOURNAL_GAP", base::ReasonOf(refused.status()));
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("ends at revision 1, and the store is at revision 2"));
  EXPECT_FALSE(std::filesystem::exists(options_.store));
  options_.allow_gap = true;
  const auto report = Restore();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(DescribeRestore(*report, true), HasSubstr("journal ends at revision 1, before the"));
}

TEST_F(RestoreTest, ABackupOfARunningServiceNeedsNoOrderlyEnd) {
  Open(store_);
  first_ = Make('A');
  second_ = Make('B');
  ASSERT_TRUE(engine().Checkpoint(options_.from).ok());
  // As a kill leaves it: without the mark of an orderly end.
  options_.journal = home_ + "/killed.journal";
  std::filesystem::copy_file(journal_, options_.journal);
  Close();
  const auto report = Restore();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(DescribeRestore(*report, true), HasSubstr("no older copy of it?"));
}

TEST_F(RestoreTest, AStoreInPlaceMayBeAheadOfItsJournalByNothingThatMatters) {
  Open(store_);
  const std::string killed = home_ + "/killed.journal";
  std::filesystem::copy_file(journal_, killed);  // nothing was marked since
  first_ = Make('A');
  Close();
  RestoreOptions options;
  options.store = store_;
  options.journal = killed;
  const auto report = BeginNewEpoch(options, base::SystemRandom(), base::SystemClock());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(DescribeRestore(*report, false), HasSubstr("journal ends at revision 0, before"));
}

TEST_F(RestoreTest, AStoreInPlaceThatRevokedWhatItsJournalDoesNotKnowIsRefused) {
  TwoTokensAndABackup();
  std::filesystem::remove(journal_);
  Open(store_);
  const std::string old_copy = home_ + "/old.journal";
  std::filesystem::copy_file(journal_, old_copy);
  Revoke(second_);
  Close();
  RestoreOptions options;
  options.store = store_;
  options.journal = old_copy;
  EXPECT_EQ(
      "JOURNAL_GAP",
      base::ReasonOf(BeginNewEpoch(options, base::SystemRandom(), base::SystemClock()).status()));
}

TEST_F(RestoreTest, AJournalOfAnotherStoreIsRefused) {
  TwoTokensAndABackup();
  std::filesystem::remove(journal_);
  Open(home_ + "/other");
  Close();
  EXPECT_EQ("JOURNAL_OF_ANOTHER_STORE", base::ReasonOf(Restore().status()));
  EXPECT_FALSE(std::filesystem::exists(options_.store));
}

TEST_F(RestoreTest, ARunningServicesJournalIsRefused) {
  TwoTokensAndABackup();
  Open(store_);
  EXPECT_EQ("JOURNAL_IN_USE", base::ReasonOf(Restore().status()));
}

TEST_F(RestoreTest, ARolledBackStoreBeginsANewEpochInPlace) {
  TwoTokensAndABackup();
  // Rolled back by hand.
  std::filesystem::remove_all(store_);
  std::filesystem::copy(options_.from, store_, std::filesystem::copy_options::recursive);
  Open(store_, /*journaled=*/false);
  const std::string epoch = Meta().epoch();
  {
    EXPECT_EQ("STORE_ROLLED_BACK",
              base::ReasonOf(storage::JournaledEngine::Open(engine_.get(), journal_).status()));
    EXPECT_EQ("STORE_IN_USE",
              base::ReasonOf(
                  BeginNewEpoch({"", store_, journal_}, base::SystemRandom(), base::SystemClock())
                      .status()));
  }
  Close();
  const StoreHome home = StoreHome::At({store_}).value();
  ASSERT_TRUE(StoreHome::At({store_ + "/"}).value().MarkRolledBack(epoch).ok());
  EXPECT_EQ("STORE_ROLLED_BACK", base::ReasonOf(home.CheckNotRolledBack(epoch)));
  EXPECT_TRUE(home.CheckNotRolledBack("another").ok());

  RestoreOptions options;
  options.store = store_;  // and the journal beside it
  const auto report = BeginNewEpoch(options, base::SystemRandom(), base::SystemClock());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(1, report->replay.ended);
  EXPECT_EQ(epoch, report->epoch_before);
  EXPECT_TRUE(home.CheckNotRolledBack(epoch).ok());
  Open(store_);
  EXPECT_TRUE(IsFinalNow(first_));
  EXPECT_FALSE(IsFinalNow(second_));
  EXPECT_EQ(report->epoch, Meta().epoch());
}

// One set of path rules: what serving finds, restoring finds, however the store is written.
TEST_F(RestoreTest, TheStoreMayBeNamedInAnyWay) {
  TwoTokensAndABackup();
  std::filesystem::rename(journal_, home_ + "/again.journal");
  options_.journal.clear();  // it is beside
  options_.from += "/";
  options_.store = "rocksdb:" + home_ + "//again/.";
  const auto report = Restore();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(home_ + "/again", report->store);
  EXPECT_EQ(home_ + "/again.journal", report->journal);
  EXPECT_EQ(1, report->replay.ended);
  EXPECT_THAT(DescribeRestore(*report, true),
              HasSubstr("Next: tollgated --store " + home_ + "/again     then:"));
  EXPECT_FALSE(std::filesystem::exists(home_ + "/again/.journal"));
  EXPECT_FALSE(std::filesystem::exists(home_ + "/again.restoring"));
}

TEST_F(RestoreTest, TheCommandSaysWhatItDid) {
  TwoTokensAndABackup();
  EXPECT_TRUE(IsStoreCommand("restore"));
  EXPECT_FALSE(IsStoreCommand("--store"));
  const auto run = [](const std::vector<std::string>& arguments) {
    return RunStoreCommand(arguments, base::SystemRandom(), base::SystemClock());
  };
  const auto said =
      run({"restore", "--from", options_.from, "--store", options_.store, "--journal", journal_});
  ASSERT_TRUE(said.ok()) << said.status();
  EXPECT_THAT(*said, HasSubstr("1 token ended"));
  EXPECT_THAT(*said, HasSubstr("--journal " + journal_));
  EXPECT_EQ("BAD_FLAG", base::ReasonOf(run({"restore", "--store", "x"}).status()));
  EXPECT_EQ("BAD_FLAG", base::ReasonOf(run({"new-epoch", "--store", "x", "--from", "y"}).status()));
  EXPECT_EQ("BAD_FLAG", base::ReasonOf(run({"restore", "--from", "a", "--store", "b", "--journal",
                                            "c", "--without-journal"})
                                           .status()));
  EXPECT_THAT(run({"restore", "--help"}).value(), HasSubstr("Exit codes"));
  for (const char* word : {"restore", "new-epoch"}) {
    for (const char* store : {"/", "memory:", "etcd:x", "rocksdb:"}) {
      std::vector<std::string> arguments = {word, "--store", store};
      if (std::string(word) == "restore") {
        arguments.insert(arguments.end(), {"--from", options_.from});
      }
      EXPECT_EQ("BAD_FLAG", base::ReasonOf(run(arguments).status())) << word << " " << store;
    }
  }
  EXPECT_THAT(run({"new-epoch", "--store", home_ + "/none"}).status().ToString(),
              HasSubstr("there is no store"));
}

}  // namespace
}  // namespace tollgate::service
