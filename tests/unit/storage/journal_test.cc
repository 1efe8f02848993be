#include "storage/journal/journal.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/journal/journaled_engine.h"
#include "storage/memory/memory_engine.h"
#include "storage/sequencer.h"
#include "storage/tombstone.h"
#include "tests/instruments/fault_engine.h"
#include "tests/unit/storage/test_commands.h"

namespace tollgate::storage {
namespace {

using store::v1::CohortRecord;
using store::v1::Ending;
using store::v1::JournalRecord;
using store::v1::JournalSection;
using store::v1::MetaRecord;
using store::v1::TokenRecord;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Folder {
 public:
  Folder() {
    std::string made = "/tmp/journal_test.XXXXXX";
    path_ = mkdtemp(&made[0]);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}
void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::string Describe(const JournalRecord& record) {
  switch (record.content_case()) {
    case JournalRecord::kSection:
      return absl::StrCat("section ", record.section().epoch().substr(0, 2), " after ",
                          record.section().from_revision());
    case JournalRecord::kMark:
      return absl::StrCat("mark ", record.mark().revision());
    case JournalRecord::kCommit: {
      std::string out = absl::StrCat("commit ", record.commit().revision(), ":");
      for (const TokenRecord& token : record.commit().tokens()) {
        absl::StrAppend(&out, " ", token.token_id(), token.has_ending() ? " ended" : "",
                        token.suspended() ? " suspended" : "");
      }
      for (const CohortRecord& cohort : record.commit().cohorts()) {
        absl::StrAppend(&out, " cohort ", cohort.workspace(), "@", cohort.revision());
      }
      for (const auto& binding : record.commit().bindings()) {
        absl::StrAppend(&out, " ", binding.role(), " of ", binding.member(),
                        binding.withdrawn() ? " withdrawn" : "");
      }
      return out;
    }
    default:
      return "?";
  }
}

// What a journal holds, also while it is open elsewhere.
std::vector<std::string> Held(const std::string& path) {
  const std::string copy = path + ".copy";
  WriteFile(copy, ReadFile(path));
  std::vector<std::string> held;
  const auto scan = ScanJournal(copy, [&](const JournalRecord& record, int64_t) {
    held.push_back(Describe(record));
    return absl::OkStatus();
  });
  if (!scan.ok()) held.push_back(base::ReasonOf(scan.status()));
  return held;
}

JournalSection Section(const std::string& epoch, int64_t from) {
  JournalSection section;
  section.set_epoch(epoch);
  section.set_from_revision(from);
  return section;
}
JournalRecord Mark(int64_t revision) {
  JournalRecord record;
  record.mutable_mark()->set_revision(revision);
  return record;
}
absl::Status Ignore(const JournalRecord&, int64_t) { return absl::OkStatus(); }

// --- the file -----------------------------------------------------------------------------------

class JournalFileTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Journal>> Open(int64_t store = 7) {
    return Journal::Open(path_, store, Section("e1", 3), Ignore);
  }
  Folder folder_;
  const std::string path_ = folder_ / "journal";
};

TEST_F(JournalFileTest, AnotherProcessReadsWhatWasAppended) {
  {
    auto journal = Open().value();
    EXPECT_TRUE(journal->created());
    ASSERT_TRUE(journal->Append(Mark(5)).ok());
  }
  struct stat status;
  ASSERT_EQ(0, ::stat(path_.c_str(), &status));
  EXPECT_EQ(0600u, status.st_mode & 0777);
  EXPECT_THAT(Held(path_), ElementsAre("section e1 after 3", "mark 5"));
  auto journal = Open().value();
  EXPECT_FALSE(journal->created());
  ASSERT_TRUE(journal->Append(Mark(6)).ok());
  EXPECT_THAT(Held(path_), ElementsAre("section e1 after 3", "mark 5", "mark 6"));
}

TEST_F(JournalFileTest, ATornEndIsCutOffWhereverItWasTorn) {
  ASSERT_TRUE(Open().value()->Append(Mark(5)).ok());
  const std::string before = ReadFile(path_);
  ASSERT_TRUE(Open().value()->Append(Mark(6)).ok());
  const std::string whole = ReadFile(path_);
  for (size_t length = before.size(); length < whole.size(); ++length) {
    WriteFile(path_, whole.substr(0, length));
    EXPECT_THAT(Held(path_), ElementsAre("section e1 after 3", "mark 5")) << length;
    auto journal = Open();
    ASSERT_TRUE(journal.ok()) << journal.status();
    EXPECT_EQ(before, ReadFile(path_)) << "nothing torn is left behind the end, " << length;
    ASSERT_TRUE((*journal)->Append(Mark(7)).ok());
    EXPECT_THAT(Held(path_), ElementsAre("section e1 after 3", "mark 5", "mark 7")) << length;
  }
  // A file system may have lengthened the file before it wrote what is in it.
  WriteFile(path_, before + std::string(5000, '\0'));
  EXPECT_THAT(Held(path_), ElementsAre("section e1 after 3", "mark 5"));
}

TEST_F(JournalFileTest, ADamagedRecordIsTornAtTheEndAndCorruptBefore) {
  ASSERT_TRUE(Open().value()->Append(Mark(5)).ok());
  const size_t last = ReadFile(path_).size();
  ASSERT_TRUE(Open().value()->Append(Mark(6)).ok());
  const std::string whole = ReadFile(path_);
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    WriteFile(path_, damaged);
    const auto scan = ScanJournal(path_, Ignore);
    if (i >= last) {
      ASSERT_TRUE(scan.ok()) << i << scan.status();
      EXPECT_EQ(static_cast<int64_t>(whole.size() - last), scan->torn_bytes) << i;
    } else {
      EXPECT_EQ("JOURNAL_CORRUPT", base::ReasonOf(scan.status())) << i;
      EXPECT_EQ("JOURNAL_CORRUPT", base::ReasonOf(Open().status())) << i;
    }
  }
}

TEST_F(JournalFileTest, WhatIsNoJournalOrNotItsOwnIsRefused) {
  EXPECT_EQ("JOURNAL_NOT_FOUND", base::ReasonOf(ScanJournal(path_, Ignore).status()));
  const std::vector<std::string> others = {std::string(10'000, 'x'), "a", "a: b\n"};
  for (const std::string& other : others) {
    WriteFile(path_, other);
    EXPECT_EQ("JOURNAL_CORRUPT", base::ReasonOf(Open().status()));
    EXPECT_EQ(other, ReadFile(path_));
  }
  WriteFile(path_, FrameJournalRecord(Mark(1)));
  EXPECT_EQ("JOURNAL_CORRUPT", base::ReasonOf(Open().status()));
  JournalRecord header;
  header.mutable_header()->set_format(kJournalFormat + 1);
  WriteFile(path_, FrameJournalRecord(header));
  EXPECT_EQ("JOURNAL_TOO_NEW", base::ReasonOf(Open().status()));
  std::filesystem::remove(path_);
  {
    auto own = Open(7).value();
  }
  EXPECT_EQ("JOURNAL_OF_ANOTHER_STORE", base::ReasonOf(Open(8).status()));
  auto held = Open(7).value();
  EXPECT_EQ("JOURNAL_IN_USE", base::ReasonOf(Open(7).status()));
  EXPECT_EQ("JOURNAL_IN_USE", base::ReasonOf(ScanJournal(path_, Ignore).status()));
  EXPECT_EQ("JOURNAL_UNWRITABLE",
            base::ReasonOf(
                Journal::Open(folder_ / "no/such/folder", 7, Section("e1", 3), Ignore).status()));
}

TEST_F(JournalFileTest, WhatCannotBeReadIsAnErrorAndNoWait) {
  const std::string folder = folder_ / "folder";
  ASSERT_TRUE(std::filesystem::create_directory(folder));
  EXPECT_FALSE(ScanJournal(folder, Ignore).ok());
}

TEST_F(JournalFileTest, AFirstStartThatWasCutShortIsBegunAnew) {
  {
    auto own = Open().value();
  }
  const std::string whole = ReadFile(path_);
  for (size_t length = 0; length < whole.size(); ++length) {
    WriteFile(path_, whole.substr(0, length));
    ASSERT_TRUE(Open().ok()) << length;
    EXPECT_THAT(Held(path_), ElementsAre("section e1 after 3")) << length;
  }
}

// --- the engine ---------------------------------------------------------------------------------

class JournaledEngineTest : public ::testing::Test {
 protected:
  JournaledEngineTest() {
    store_ = std::make_unique<instruments::FaultEngine>(MemoryEngine::Open().value());
  }

  void Open() { engine_ = JournaledEngine::Open(store_.get(), path_).value(); }
  absl::Status TryOpen(Engine* store) { return JournaledEngine::Open(store, path_).status(); }
  // The process dies: nothing more is written to the journal.
  void Kill() {
    const std::string bytes = ReadFile(path_);
    engine_.reset();
    WriteFile(path_, bytes);
  }

  using Change = std::function<void(TokenRecord&, const Slot&)>;
  absl::Status Commit(Engine& engine, LambdaCommand::Body body) {
    LambdaCommand command(std::move(body));
    const auto snapshot = engine.NewSnapshot().value();
    const auto outcome = RunBatch(*snapshot, absl::FromUnixSeconds(1'790'000'000), {&command});
    const auto result = engine.Commit(outcome->request);
    if (!result.ok()) return result.status();
    return result->committed ? absl::OkStatus() : absl::AbortedError("lost");
  }
  absl::Status Put(Engine& engine, const std::string& id, const Change& change) {
    return Commit(engine, [&](const View& view, const Slot& slot, Effects& effects) {
      auto found = GetRecord<TokenRecord>(view, Table::kTokens, TokenKey("acme", id)).value();
      TokenRecord record;
      if (found.has_value()) {
        record = *found;
      } else {
        record.set_workspace("acme");
        record.set_token_id(id);
        record.set_label("label of " + id);
        record.set_stored_digest("DIGESTDIGESTDIGESTDIGESTDIGEST32");
        record.set_create_revision(slot.revision);
      }
      record.set_update_revision(slot.revision);
      change(record, slot);
      effects.Put(Table::kTokens, TokenKey("acme", id), record);
      v1::Event event;
      event.mutable_token_changed()->set_workspace("acme");
      event.mutable_token_changed()->set_token_id(id);
      effects.Tell(event);
      return absl::OkStatus();
    });
  }
  absl::Status Create(const std::string& id) { return Create(*engine_, id); }
  absl::Status Create(Engine& engine, const std::string& id) {
    return Put(engine, id, [](TokenRecord&, const Slot&) {});
  }
  absl::Status Revoke(const std::string& id) { return Revoke(*engine_, id); }
  absl::Status Revoke(Engine& engine, const std::string& id) {
    return Put(engine, id, [](TokenRecord& record, const Slot& slot) {
      record.mutable_ending()->set_kind(Ending::KIND_REVOKED);
      record.mutable_ending()->set_revision(slot.revision);
    });
  }
  absl::Status RevokeCohort(Engine& engine) {
    return Commit(engine, [](const View&, const Slot& slot, Effects& effects) {
      CohortRecord cohort;
      cohort.set_workspace("acme");
      cohort.set_revision(slot.revision);
      effects.Put(Table::kCohorts, CohortKey("acme", ""), cohort);
      v1::Event event;
      event.mutable_cohort_revoked()->set_workspace("acme");
      effects.Tell(event);
      return absl::OkStatus();
    });
  }
  absl::Status Withdraw(Engine& engine, const std::string& member) {
    return Commit(engine, [&](const View&, const Slot& slot, Effects& effects) {
      store::v1::BindingRecord binding;
      binding.set_member(member);
      binding.set_role("issuer");
      binding.set_withdrawn(true);
      binding.set_update_revision(slot.revision);
      effects.Put(Table::kBindings, BindingKey(member, "issuer"), binding);
      v1::Event event;
      event.mutable_access_changed();
      effects.Tell(event);
      return absl::OkStatus();
    });
  }
  absl::Status TakeEpoch(Engine& engine, const std::string& epoch) {
    return Commit(engine, [&](const View& view, const Slot&, Effects& effects) {
      auto meta = *GetRecord<MetaRecord>(view, Table::kMeta, kMetaKey).value();
      meta.set_epoch(epoch);
      effects.Put(Table::kMeta, kMetaKey, meta);
      return absl::OkStatus();
    });
  }
  std::unique_ptr<MemoryEngine> Copy() {
    return MemoryEngine::CopyOf(*store_->NewSnapshot().value()).value();
  }

  Folder folder_;
  const std::string path_ = folder_ / "journal";
  std::unique_ptr<instruments::FaultEngine> store_;
  std::unique_ptr<JournaledEngine> engine_;
};

TEST_F(JournaledEngineTest, JournalsWhatTakesAwayAndNothingElse) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  ASSERT_TRUE(Create("t2").ok());
  ASSERT_TRUE(Revoke("t1").ok());
  ASSERT_TRUE(RevokeCohort(*engine_).ok());
  ASSERT_TRUE(Put(*engine_, "t2", [](TokenRecord& record, const Slot&) {
                record.set_suspended(true);
              }).ok());
  const std::vector<std::string> expected = {"section 00 after 0", "commit 3: t1 ended",
                                             "commit 4: cohort acme@4", "commit 5: t2 suspended"};
  EXPECT_EQ(expected, Held(path_));
  const std::string bytes = ReadFile(path_);
  EXPECT_FALSE(absl::StrContains(bytes, "DIGEST"));
  EXPECT_FALSE(absl::StrContains(bytes, "label of"));
  engine_.reset();
  EXPECT_EQ("mark 5", Held(path_).back());
}

TEST_F(JournaledEngineTest, WhoMayDoWhatIsJournaled) {
  Open();
  ASSERT_TRUE(Withdraw(*engine_, "unix:ada").ok());
  EXPECT_EQ("commit 1: issuer of unix:ada withdrawn", Held(path_).back());
  engine_.reset();
  ASSERT_TRUE(Withdraw(*store_, "unix:bob").ok());
  Open();
  EXPECT_THAT(Held(path_), testing::Contains("commit 2: issuer of unix:bob withdrawn"))
      << "what was committed without a journal";
  engine_.reset();
  ASSERT_TRUE(Withdraw(*store_, "unix:eve").ok());
  ASSERT_TRUE(Commit(*store_, [](const View&, const Slot&, Effects& effects) {
                effects.CompactEventsTo(3);
                return absl::OkStatus();
              }).ok());
  Open();
  EXPECT_THAT(Held(path_), testing::Contains("commit 4: issuer of unix:eve withdrawn"))
      << "also where its events are no longer kept";
}

// Whoever adds a table says here what a restore makes of it (R17): either what was taken away in it
// is journaled, or nothing in it permits anything.
TEST_F(JournaledEngineTest, OfEachTableItIsDecidedWhetherItIsJournaled) {
  const std::map<Table, std::string> decided = {
      {Table::kMeta, "counts, terms and the head: of the history that goes on"},
      {Table::kTokens, "journaled"},
      {Table::kDigests, "found by kTokens"},
      {Table::kWorkspaces, "what may be granted from now on"},
      {Table::kCohorts, "journaled"},
      {Table::kLabels, "found by kTokens"},
      {Table::kDue, "what the sweep looks at: found by the records"},
      {Table::kRequests, "answers to retries"},
      {Table::kEvents, "of the lost history: a new epoch resets every validator"},
      {Table::kAudit, "tells, and permits nothing"},
      {Table::kUse, "tells, and permits nothing"},
      {Table::kSessions, "who may hold a lease: the hold of R17"},
      {Table::kFingerprints, "of the lost history"},
      {Table::kAuditByToken, "found by kAudit"},
      {Table::kBindings, "journaled"},
  };
  ASSERT_EQ(decided.size(), static_cast<size_t>(kTableCount));
  store::v1::TokenRecord token;
  token.set_workspace("acme");
  token.set_token_id("t1");
  token.set_create_revision(1);
  token.set_update_revision(2);
  store::v1::CohortRecord cohort;
  cohort.set_workspace("acme");
  cohort.set_revision(2);
  store::v1::BindingRecord binding;
  binding.set_member("unix:ada");
  binding.set_update_revision(2);
  for (const auto& [table, decision] : decided) {
    CommitRequest request;
    request.expected_head = 1;
    request.mutations.push_back({table, "key",
                                 table == Table::kCohorts    ? SerializeRecord(cohort)
                                 : table == Table::kBindings ? SerializeRecord(binding)
                                                             : SerializeRecord(token)});
    const store::v1::JournalCommit entry = JournalEntryFor(request);
    EXPECT_EQ(entry.tokens_size() + entry.cohorts_size() + entry.bindings_size() > 0,
              decision == "journaled")
        << TableName(table);
  }
}

TEST_F(JournaledEngineTest, IsJournaledBeforeItIsCommitted) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  store_->HoldCommits();
  std::thread revoking([&] { EXPECT_TRUE(Revoke("t1").ok()); });
  ASSERT_TRUE(store_->WaitForHeld(1));
  EXPECT_EQ("commit 2: t1 ended", Held(path_).back());
  store_->ReleaseCommits();
  revoking.join();
}

TEST_F(JournaledEngineTest, AnEntryWhoseCommitIsNotInTheStoreStaysTheLastUntilItIsTakenAnew) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  store_->FailNextCommit(absl::UnavailableError("power"));
  EXPECT_FALSE(Revoke("t1").ok());
  EXPECT_EQ("commit 2: t1 ended", Held(path_).back());
  Kill();
  for (int start = 0; start < 2; ++start) {  // also where the next one is cut short
    Open();
    ASSERT_TRUE(engine_->unfinished().has_value());
    EXPECT_EQ(engine_->unfinished()->revision(), 2);
    ASSERT_TRUE(Create(absl::StrCat("other ", start)).ok());  // a commit that is not journaled
    engine_.reset();                                          // no mark vouches for the entry
    EXPECT_THAT(Held(path_), ElementsAre("section 00 after 0", "commit 2: t1 ended"));
  }
  Open();
  ASSERT_TRUE(Revoke("t1").ok());
  EXPECT_FALSE(engine_->unfinished().has_value());
  Kill();
  EXPECT_THAT(Held(path_),
              ElementsAre("section 00 after 0", "commit 2: t1 ended", "commit 4: t1 ended"));
  Open();
  EXPECT_FALSE(engine_->unfinished().has_value());
  ASSERT_TRUE(Put(*engine_, "other 0", [](TokenRecord&, const Slot&) {}).ok());
  Kill();
  Open();  // revision 2 of the store is another than the first entry's, which says nothing any more
  EXPECT_FALSE(engine_->unfinished().has_value());
}

TEST_F(JournaledEngineTest, AnEntryThatTakesNothingAwayCanBeCutOff) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  store_->FailNextCommit(absl::UnavailableError("power"));
  EXPECT_FALSE(Put(*engine_, "t1", [](TokenRecord&, const Slot&) {}).ok());
  Kill();
  Open();
  ASSERT_TRUE(engine_->unfinished().has_value());
  ASSERT_TRUE(engine_->CutUnfinished().ok());
  EXPECT_FALSE(engine_->unfinished().has_value());
  EXPECT_THAT(Held(path_), ElementsAre("section 00 after 0"));
  ASSERT_TRUE(Create("t2").ok());
  engine_.reset();
  EXPECT_EQ("mark 2", Held(path_).back());
}

TEST_F(JournaledEngineTest, AnEntryIsToldFromAnotherCommitOfItsRevision) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  store_->FailNextCommit(absl::UnavailableError("power"));
  EXPECT_FALSE(Revoke("t1").ok());
  Kill();
  // Revision 2, too; and what the entry is about, so that the records alone would tell nothing.
  ASSERT_TRUE(Create(*store_, "t2").ok());
  ASSERT_TRUE(Revoke(*store_, "t1").ok());
  Open();
  ASSERT_TRUE(engine_->unfinished().has_value());
  EXPECT_THAT(Held(path_), ElementsAre("section 00 after 0", "commit 2: t1 ended",
                                       "commit 3: t1 ended t1 ended", "commit 2: t1 ended"));
  ASSERT_TRUE(Put(*engine_, "t2", [](TokenRecord&, const Slot&) {}).ok());
  Kill();
  Open();
  EXPECT_FALSE(engine_->unfinished().has_value());
}

TEST_F(JournaledEngineTest, AnEntryWhoseTokenWasForgottenSinceIsInTheStoreAllTheSame) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  ASSERT_TRUE(Revoke("t1").ok());
  ASSERT_TRUE(Commit(*engine_, [](const View&, const Slot&, Effects& effects) {
                effects.Delete(Table::kTokens, TokenKey("acme", "t1"));
                return absl::OkStatus();
              }).ok());
  Kill();
  Open();
  EXPECT_FALSE(engine_->unfinished().has_value());
}

TEST_F(JournaledEngineTest, AnEntryWithoutAFingerprintIsJudgedByItsRevision) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  engine_.reset();
  const std::string before = ReadFile(path_);
  for (const int64_t revision : {1, 2}) {
    JournalRecord entry;
    entry.mutable_commit()->set_revision(revision);
    entry.mutable_commit()->add_tokens()->set_token_id("t1");
    WriteFile(path_, before + FrameJournalRecord(entry));
    Open();
    EXPECT_EQ(engine_->unfinished().has_value(), revision == 2);
    Kill();
  }
}

TEST_F(JournaledEngineTest, AStoreThatGrewPastWhatItHadLostIsRefused) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  ASSERT_TRUE(Create("t2").ok());
  const auto old = Copy();
  ASSERT_TRUE(Revoke("t1").ok());
  engine_.reset();  // with a mark at 3
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Create(*old, absl::StrCat("later ", i)).ok());
  EXPECT_EQ("STORE_ROLLED_BACK", base::ReasonOf(TryOpen(old.get())));
  EXPECT_TRUE(TryOpen(store_.get()).ok());
}

TEST_F(JournaledEngineTest, AnEntryWhoseCommitWasUncertainIsKeptWhenItIsInTheStore) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  store_->FailNextCommitUncertainly(absl::UnavailableError("power"));
  EXPECT_FALSE(Revoke("t1").ok());
  Kill();
  Open();
  EXPECT_THAT(Held(path_), ElementsAre("section 00 after 0", "commit 2: t1 ended", "mark 2"));
}

TEST_F(JournaledEngineTest, ALostRaceLeavesNoEntry) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  store_->LoseNextRace();
  EXPECT_EQ(absl::StatusCode::kAborted, Revoke("t1").code());
  EXPECT_THAT(Held(path_), ElementsAre("section 00 after 0"));
  ASSERT_TRUE(Revoke("t1").ok());
  EXPECT_EQ("commit 3: t1 ended", Held(path_).back());
}

TEST_F(JournaledEngineTest, AStoreOlderThanItsJournalIsRefused) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  ASSERT_TRUE(Create("t2").ok());
  const auto old = Copy();
  ASSERT_TRUE(Revoke("t1").ok());
  ASSERT_TRUE(Revoke("t2").ok());
  Kill();  // no mark: the second entry says that the first was durable
  EXPECT_EQ("STORE_ROLLED_BACK", base::ReasonOf(TryOpen(old.get())));
  EXPECT_TRUE(TryOpen(store_.get()).ok());
}

TEST_F(JournaledEngineTest, AStoreOlderThanAMarkIsRefused) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  const auto old = Copy();
  ASSERT_TRUE(Revoke("t1").ok());
  engine_.reset();
  EXPECT_EQ("STORE_ROLLED_BACK", base::ReasonOf(TryOpen(old.get())));
}

TEST_F(JournaledEngineTest, ANewEpochBeginsASectionAndTheOldOneIsRefusedFromThenOn) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  const auto restored = Copy();
  ASSERT_TRUE(Revoke("t1").ok());
  engine_.reset();
  ASSERT_TRUE(TakeEpoch(*restored, "e2").ok());
  {
    auto engine = JournaledEngine::Open(restored.get(), path_).value();
    ASSERT_TRUE(Revoke(*engine, "t1").ok());
  }
  EXPECT_THAT(Held(path_), ElementsAre("section 00 after 0", "commit 2: t1 ended", "mark 2",
                                       "section e2 after 2", "commit 3: t1 ended", "mark 3"));
  EXPECT_EQ("STORE_ROLLED_BACK", base::ReasonOf(TryOpen(store_.get())));
}

TEST_F(JournaledEngineTest, WhatWasCommittedWithoutAJournalIsJournaledAtTheNextStart) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  engine_.reset();
  ASSERT_TRUE(Revoke(*store_, "t1").ok());
  ASSERT_TRUE(RevokeCohort(*store_).ok());
  ASSERT_TRUE(Create(*store_, "t2").ok());
  Open();
  EXPECT_THAT(Held(path_), ElementsAre("section 00 after 0", "mark 1",
                                       "commit 4: t1 ended cohort acme@3", "mark 4"));
  // Its time is the head's.
  std::vector<int64_t> times;
  ASSERT_TRUE(ScanJournal(path_ + ".copy", [&](const JournalRecord& record, int64_t) {
                if (record.has_commit()) times.push_back(record.commit().time_us());
                return absl::OkStatus();
              }).ok());
  const auto head =
      GetRecord<store::v1::HeadRecord>(*store_->NewSnapshot().value(), Table::kMeta, kHeadKey);
  ASSERT_TRUE(head.ok() && head->has_value());
  EXPECT_NE((*head)->time_us(), 0);
  EXPECT_THAT(times, ElementsAre((*head)->time_us()));
}

TEST_F(JournaledEngineTest, ItIsFoundAlsoWhereItsEventsAreNoLongerKept) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  engine_.reset();
  ASSERT_TRUE(Revoke(*store_, "t1").ok());
  ASSERT_TRUE(RevokeCohort(*store_).ok());
  ASSERT_TRUE(Commit(*store_, [](const View&, const Slot&, Effects& effects) {
                effects.Delete(Table::kEvents, RevisionKey(1));
                effects.Delete(Table::kEvents, RevisionKey(2));
                effects.Delete(Table::kEvents, RevisionKey(3));
                effects.CompactEventsTo(3);
                return absl::OkStatus();
              }).ok());
  Open();
  EXPECT_THAT(Held(path_), ElementsAre("section 00 after 0", "mark 1",
                                       "commit 4: t1 ended cohort acme@3", "mark 4"));
}

// A record that was purged meanwhile has left its end (I7), and that is journaled.
TEST_F(JournaledEngineTest, ItIsFoundAlsoWhereItsRecordIsPurged) {
  for (const bool events_are_kept : {true, false}) {
    SCOPED_TRACE(events_are_kept);
    Open();
    const std::string id = events_are_kept ? "t1" : "t2";
    ASSERT_TRUE(Create(id).ok());
    engine_.reset();
    ASSERT_TRUE(Revoke(*store_, id).ok());
    ASSERT_TRUE(Commit(*store_, [&](const View& view, const Slot& slot, Effects& effects) {
                  const auto record =
                      GetRecord<TokenRecord>(view, Table::kTokens, TokenKey("acme", id)).value();
                  effects.Put(Table::kDigests, "digest of " + id, PurgedDigest(*record));
                  effects.Delete(Table::kTokens, TokenKey("acme", id));
                  if (!events_are_kept) effects.CompactEventsTo(slot.revision - 1);
                  return absl::OkStatus();
                }).ok());
    Open();
    EXPECT_THAT(Held(path_), testing::Contains(testing::HasSubstr(id + " ended")));
    engine_.reset();
  }
}

TEST_F(JournaledEngineTest, WhatCannotBeJournaledIsNotCommitted) {
  Open();
  ASSERT_TRUE(Create("t1").ok());
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &before));
  rlimit full = before;
  full.rlim_cur = std::filesystem::file_size(path_) + 4;  // room for a torn record
  ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &full));
  const absl::Status refused = Revoke("t1");
  ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &before));
  EXPECT_EQ("JOURNAL_UNWRITABLE", base::ReasonOf(refused));
  EXPECT_EQ(1, store_->NewSnapshot().value()->revision());
  EXPECT_THAT(Held(path_), ElementsAre("section 00 after 0"));
  EXPECT_TRUE(Revoke("t1").ok());
  EXPECT_EQ("commit 2: t1 ended", Held(path_).back());
}

TEST_F(JournaledEngineTest, AContradictoryCommitIsNotJournaled) {
  Open();
  CommitRequest request;
  CohortRecord cohort;
  request.mutations.push_back(Mutation{Table::kCohorts, "k", SerializeRecord(cohort)});
  EXPECT_EQ(absl::StatusCode::kInvalidArgument, engine_->Commit(request).status().code());
  EXPECT_THAT(Held(path_), ElementsAre("section 00 after 0"));
}

TEST_F(JournaledEngineTest, MarksHowFarItIsNowAndThen) {
  Open();
  for (int i = 0; i < 1030; ++i) ASSERT_TRUE(Create(absl::StrCat("t", i)).ok());
  Kill();
  EXPECT_THAT(Held(path_), ElementsAre("section 00 after 0", "mark 1024"));
}

// The store's files, as far as Checkpoint has any here.
class FolderEngine : public instruments::FaultEngine {
 public:
  FolderEngine() : instruments::FaultEngine(MemoryEngine::Open().value()) {}
  absl::Status Checkpoint(const std::string& path) override {
    std::filesystem::create_directory(path);
    return absl::OkStatus();
  }
};

TEST_F(JournaledEngineTest, ACheckpointIsMarkedSoThatARestoreKnowsTheJournalReachesToIt) {
  store_ = std::make_unique<FolderEngine>();
  Open();
  ASSERT_TRUE(Create("t1").ok());
  ASSERT_TRUE(engine_->Checkpoint(folder_ / "copy").ok());
  EXPECT_THAT(Held(path_), ElementsAre("section 00 after 0", "mark 1"));
  // Without the mark there is no copy.
  struct rlimit before;
  ASSERT_EQ(0, ::getrlimit(RLIMIT_FSIZE, &before));
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit none = before;
  none.rlim_cur = std::filesystem::file_size(path_);
  ASSERT_EQ(0, ::setrlimit(RLIMIT_FSIZE, &none));
  const absl::Status status = engine_->Checkpoint(folder_ / "copy2");
  ASSERT_EQ(0, ::setrlimit(RLIMIT_FSIZE, &before));
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ("JOURNAL_UNWRITABLE", base::ReasonOf(status));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "copy2"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "copy"));
}

}  // namespace
}  // namespace tollgate::storage
