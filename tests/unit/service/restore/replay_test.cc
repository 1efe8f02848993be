// Replay rules: a history goes on after a backup and is lost; what it took away stays away.
#include <algorithm>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "service/records/held_token.h"
#include "service/restore/replay_command.h"
#include "service/tokens/revoke_cohort.h"
#include "service/tokens/update_token.h"
#include "storage/journal/journaled_engine.h"
#include "tests/instruments/audit_chain.h"
#include "tests/unit/service/command_fixture.h"

namespace tollgate::service {
namespace {

using store::v1::BindingRecord;
using store::v1::CohortRecord;
using store::v1::HeadRecord;
using store::v1::JournalRecord;
using store::v1::MetaRecord;
using store::v1::TokenRecord;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kFirstEpoch[] = "00000000000000000000000000000001";

class ReplayTest : public CommandTest {
 protected:
  ReplayTest() { Section(kFirstEpoch, 0); }

  void Section(const std::string& epoch, int64_t from) {
    JournalRecord record;
    record.mutable_section()->set_epoch(epoch);
    record.mutable_section()->set_from_revision(from);
    journal_.push_back(record);
  }
  std::vector<storage::Entry> All(storage::Table table) {
    return View()->Scan(table, "", "", 1000).value();
  }
  // Journals the last commit, as JournaledEngine would.
  void Log() {
    storage::CommitRequest request;
    request.expected_head = Head() - 1;
    for (const storage::Entry& entry : All(storage::Table::kTokens)) {
      TokenRecord token;
      ASSERT_TRUE(token.ParseFromString(entry.value));
      if (token.update_revision() != Head()) continue;
      request.mutations.push_back(
          storage::Mutation{storage::Table::kTokens, entry.key, entry.value});
    }
    for (const storage::Entry& entry : All(storage::Table::kCohorts)) {
      CohortRecord cohort;
      ASSERT_TRUE(cohort.ParseFromString(entry.value));
      if (cohort.revision() != Head()) continue;
      request.mutations.push_back(
          storage::Mutation{storage::Table::kCohorts, entry.key, entry.value});
    }
    for (const storage::Entry& entry : All(storage::Table::kBindings)) {
      BindingRecord binding;
      ASSERT_TRUE(binding.ParseFromString(entry.value));
      if (binding.update_revision() != Head()) continue;
      request.mutations.push_back(
          storage::Mutation{storage::Table::kBindings, entry.key, entry.value});
    }
    JournalRecord record;
    *record.mutable_commit() = storage::JournalEntryFor(request);
    if (record.commit().tokens_size() + record.commit().cohorts_size() +
            record.commit().bindings_size() >
        0) {
      journal_.push_back(record);
    }
  }
  void Mark() {
    JournalRecord record;
    record.mutable_mark()->set_revision(Head());
    journal_.push_back(record);
  }
  void BackUp() { backup_ = storage::MemoryEngine::CopyOf(*View()).value(); }

  // The store is lost: goes on with the backup.
  ReplayReport Restore(const std::string& new_epoch = "e2") {
    engine_ = std::move(backup_);
    const auto meta =
        storage::GetRecord<MetaRecord>(*View(), storage::Table::kMeta, storage::kMetaKey).value();
    plan_ = std::make_unique<ReplayPlan>(meta->epoch(), Head());
    for (const JournalRecord& record : journal_) plan_->Add(record);
    plan_->Finish();
    ReplayCommand command(plan_.get(), new_epoch, "restore", "/backups/one");
    const absl::Status status = RunOne(command);
    EXPECT_TRUE(status.ok()) << status;
    return command.report();
  }

  void RevokeAll(const std::string& owner = "") {
    tollgate::v1::RevokeTokensRequest request;
    request.set_parent("workspaces/acme");
    request.set_owner(owner);
    request.set_reason("a laptop was stolen");
    request.set_allow_empty(true);
    ASSERT_TRUE(this->Do(RevokeCohortCommand::Make(request, "local")).ok());
    Log();
  }
  void Update(const tollgate::v1::Token& token, const std::string& field,
              const std::function<void(tollgate::v1::Token*)>& set) {
    tollgate::v1::UpdateTokenRequest request;
    request.mutable_token()->set_name(token.name());
    set(request.mutable_token());
    request.mutable_update_mask()->add_paths(field);
    const auto done = this->Do(UpdateTokenCommand::Make(request, "local"));
    ASSERT_TRUE(done.ok()) << done.status();
    Log();
  }
  void Give(const tollgate::v1::Token& token, const std::string& owner) {
    Update(token, "owner", [&](tollgate::v1::Token* t) { t->set_owner(owner); });
  }
  void RevokeIt(const tollgate::v1::Token& token) {
    ASSERT_TRUE(RevokeOne(token.name()).ok());
    Log();
  }
  void SuspendIt(const tollgate::v1::Token& token) {
    ASSERT_TRUE(Suspend(token.name()).ok());
    Log();
  }
  void ResumeIt(const tollgate::v1::Token& token) {
    ASSERT_TRUE(Resume(token.name()).ok());
    Log();
  }
  // Sets where a member is issuer, as a grant or a withdrawal does: "" nowhere, "-" everywhere.
  void Bind(const std::string& member, const std::string& workspaces) {
    BindingRecord record;
    record.set_member(member);
    record.set_role("issuer");
    record.set_withdrawn(workspaces.empty());
    if (workspaces != "-" && !workspaces.empty()) {
      for (const auto& one : absl::StrSplit(workspaces, ' ')) {
        record.add_workspaces(std::string(one));
      }
    }
    record.set_update_revision(Head() + 1);
    Harm([&](storage::Effects& effects) {
      effects.Put(storage::Table::kBindings, storage::BindingKey(member, "issuer"), record);
    });
    Log();
  }
  std::string BoundIn(const std::string& member) {
    const auto record = storage::GetRecord<BindingRecord>(*View(), storage::Table::kBindings,
                                                          storage::BindingKey(member, "issuer"))
                            .value();
    if (!record.has_value() || record->withdrawn()) return "";
    return record->workspaces().empty() ? "-" : absl::StrJoin(record->workspaces(), " ");
  }
  HeldToken Now(const tollgate::v1::Token& token) {
    return LoadToken(*View(), "acme", token.token_id()).value();
  }
  std::string State(const tollgate::v1::Token& token) {
    return tollgate::v1::TokenState_Name(Now(token).StateAt(now_)).substr(12);
  }
  std::vector<std::string> Audit() {
    std::vector<std::string> found;
    EXPECT_TRUE(instruments::VerifyAuditChain(*View(), [&](const store::v1::AuditRecord& entry) {
                  if (entry.revision() != plan_->head() + 1) return;
                  auto change = entry.details().find("change");
                  found.push_back(entry.action() +
                                  (change == entry.details().end() ? "" : " " + change->second));
                }).ok());
    return found;
  }

  std::vector<JournalRecord> journal_;
  std::unique_ptr<storage::MemoryEngine> backup_;
  std::unique_ptr<ReplayPlan> plan_;
};

TEST_F(ReplayTest, RevokedAfterTheBackupIsRevokedAgain) {
  const auto bad = Made("bad");
  const auto good = Made("good");
  BackUp();
  RevokeIt(bad);
  const int64_t revoked_at_us = Now(bad).record.ending().time_us();
  const auto later = Made("made after the backup");
  RevokeIt(later);
  now_ += absl::Hours(5);
  const ReplayReport report = Restore();
  EXPECT_EQ("REVOKED", State(bad));
  EXPECT_EQ("ACTIVE", State(good));
  EXPECT_EQ("in a gist", Now(bad).record.reason());
  EXPECT_EQ(revoked_at_us, Now(bad).record.ending().time_us());  // when it really was
  EXPECT_EQ(Head(), Now(bad).record.ending().revision());
  EXPECT_EQ(1, report.ended);
  EXPECT_EQ(1, report.unknown);
  EXPECT_THAT(Audit(), ElementsAre("restore", "restore.replay KIND_REVOKED"));
  const auto meta =
      *storage::GetRecord<MetaRecord>(*View(), storage::Table::kMeta, storage::kMetaKey).value();
  EXPECT_EQ("e2", meta.epoch());
  EXPECT_TRUE(meta.restored());
  ASSERT_EQ(1u, events_.size());
  EXPECT_EQ(bad.token_id(), events_[0].token_changed().token_id());
}

TEST_F(ReplayTest, ACohortCoversWhatItCoveredAndNothingMadeSince) {
  const auto first = Made("first");
  const auto second = Made("second", "team-a");
  BackUp();
  // The lost history goes far ahead: its watermark lies above what is made after the restore.
  for (int i = 0; i < 30; ++i) Made("lost");
  RevokeAll();
  const int64_t lost_watermark = Head();
  const ReplayReport report = Restore();
  EXPECT_EQ(1, report.cohorts);
  EXPECT_EQ("REVOKED", State(first));
  EXPECT_EQ("REVOKED", State(second));
  for (int i = 0; i < 40; ++i) {
    const auto fresh = Made("fresh");
    EXPECT_EQ("ACTIVE", State(fresh)) << Head();
  }
  EXPECT_GT(Head(), lost_watermark);
}

TEST_F(ReplayTest, ACohortFromBeforeTheBackupCoversNothingMore) {
  const auto old = Made("old");
  RevokeAll();
  const auto fresh = Made("fresh");
  BackUp();
  const ReplayReport report = Restore();
  EXPECT_EQ(0, report.cohorts);
  EXPECT_EQ("REVOKED", State(old));
  EXPECT_EQ("ACTIVE", State(fresh));
}

TEST_F(ReplayTest, AnEntryWrittenLateCountsByItsRecordsRevisions) {
  const auto old = Made("old");
  RevokeAll();  // revision 2
  const auto fresh = Made("fresh");
  BackUp();  // revision 3
  Made("more");
  // As JournaledEngine writes what went unjournaled: under the head of the time.
  journal_.back().mutable_commit()->set_revision(Head());
  Restore();
  EXPECT_EQ("ACTIVE", State(fresh));
}

TEST_F(ReplayTest, AnOwnersCohortCoversWhoeverHadThatOwnerThen) {
  const auto stays = Made("stays", "team-a");
  const auto comes = Made("comes", "team-b");
  const auto goes = Made("goes", "team-a");
  BackUp();
  Give(comes, "team-a");
  Give(goes, "team-b");
  RevokeAll("team-a");
  ASSERT_EQ("REVOKED", State(stays));
  ASSERT_EQ("REVOKED", State(comes));
  ASSERT_EQ("ACTIVE", State(goes));
  Restore();
  EXPECT_EQ("REVOKED", State(stays));
  EXPECT_EQ("REVOKED", State(comes));  // I1
  EXPECT_EQ("ACTIVE", State(goes));    // I7
  EXPECT_EQ("ACTIVE", State(Made("fresh", "team-a")));
}

TEST_F(ReplayTest, OfACohortsRevocationsTheFirstIsCitedAndNoneCoversWhatIsMadeSince) {
  const auto token = Made("token", "team-a");
  BackUp();
  const absl::Time first = now_;
  RevokeAll("team-a");
  for (int i = 0; i < 5; ++i) Made(absl::StrCat("lost", i), "team-a");
  now_ += absl::Hours(1);
  RevokeAll("team-a");  // at a revision that the new history will use again
  Restore();
  EXPECT_EQ("REVOKED", State(token));
  EXPECT_EQ(Now(token).cohorts.owner->time_us(), absl::ToUnixMicros(first));
  for (int i = 0; i < 3; ++i) EXPECT_EQ("ACTIVE", State(Made(absl::StrCat("new", i), "team-a")));
}

TEST_F(ReplayTest, WhoWasPerhapsGivenToARevokedOwnerIsRevoked) {
  const auto moved = Made("moved", "team-x");
  const auto stays = Made("stays", "team-x");
  const auto elsewhere = Made("elsewhere", "team-x");
  BackUp();
  // One commit, the last: a token is given to team-y, and team-y is revoked.
  Give(moved, "team-y");
  RevokeAll("team-y");
  Give(elsewhere, "team-z");
  journal_[1].mutable_commit()->MergeFrom(journal_[2].commit());
  journal_[1].mutable_commit()->MergeFrom(journal_[3].commit());
  journal_.resize(2);
  ASSERT_EQ("REVOKED", State(moved));
  const ReplayReport report = Restore();
  EXPECT_EQ("REVOKED", State(moved));  // I1
  EXPECT_EQ("ACTIVE", State(stays));   // I7
  EXPECT_EQ("ACTIVE", State(elsewhere));
  EXPECT_EQ(1, report.ended);
  EXPECT_EQ("a laptop was stolen", Now(moved).record.reason());
}

TEST_F(ReplayTest, WhoWasPerhapsGivenBackToARevokedOwnerIsRevoked) {
  const auto moved = Made("moved", "team-x");
  BackUp();
  Give(moved, "team-y");
  RevokeAll("team-x");
  Mark();
  // The service refuses this; a journal that has it all the same is believed to the token's cost.
  JournalRecord back = journal_[1];
  back.mutable_commit()->set_revision(Head() + 1);
  back.mutable_commit()->mutable_tokens(0)->set_update_revision(Head() + 1);
  back.mutable_commit()->mutable_tokens(0)->set_owner("team-x");
  journal_.push_back(back);
  Restore();
  EXPECT_EQ("REVOKED", State(moved));
}

TEST_F(ReplayTest, SuspensionsComeBackUnlessTheyWereLifted) {
  const auto suspended = Made("suspended");
  const auto lifted = Made("lifted");
  BackUp();
  SuspendIt(suspended);
  SuspendIt(lifted);
  ResumeIt(lifted);
  Mark();
  const ReplayReport report = Restore();
  EXPECT_EQ("SUSPENDED", State(suspended));
  EXPECT_EQ("ACTIVE", State(lifted));
  EXPECT_EQ(1, report.suspended);
  EXPECT_EQ(1, report.already);
}

TEST_F(ReplayTest, TheLastEntryMayNeverHaveBeenDurableSoItTakesAwayAndLiftsNothing) {
  const auto lifted = Made("lifted");
  BackUp();
  SuspendIt(lifted);
  ResumeIt(lifted);  // nothing after it says that it was durable
  Restore();
  EXPECT_EQ("SUSPENDED", State(lifted));
}

TEST_F(ReplayTest, TheLastEntryTakesAway) {
  const auto revoked = Made("revoked");
  BackUp();
  RevokeIt(revoked);
  Restore();
  EXPECT_EQ("REVOKED", State(revoked));
}

TEST_F(ReplayTest, NothingIsGivenThatTheBackupDoesNotGive) {
  const auto suspended = Made("suspended");
  ASSERT_TRUE(Suspend(suspended.name()).ok());
  const auto widened = Made("widened");
  Update(widened, "expire_time", [&](tollgate::v1::Token* t) {
    t->mutable_expire_time()->set_seconds(absl::ToUnixSeconds(now_) + 100);
  });
  BackUp();
  ResumeIt(suspended);
  Update(widened, "scopes", [](tollgate::v1::Token* t) {
    t->add_scopes("deploy:write");
    t->add_scopes("admin");
  });
  Update(widened, "expire_time", [](tollgate::v1::Token*) {});
  Mark();
  const ReplayReport report = Restore();
  EXPECT_EQ("SUSPENDED", State(suspended));
  EXPECT_THAT(Now(widened).record.scopes(), ElementsAre("deploy:write"));
  EXPECT_EQ(absl::ToUnixMicros(now_) + 100'000'000, Now(widened).record.expire_time_us());
  EXPECT_EQ(2, report.already);
}

TEST_F(ReplayTest, WhatWasNarrowedIsNarrowedAgain) {
  const auto scopes = Made("scopes");
  const auto expiring = Made("expiring");
  const auto audience = Made("audience");
  const auto moved = Made("moved");
  Update(moved, "audiences", [](tollgate::v1::Token* t) { t->add_audiences("staging"); });
  BackUp();
  Update(scopes, "scopes", [](tollgate::v1::Token*) {});
  Update(expiring, "expire_time", [&](tollgate::v1::Token* t) {
    t->mutable_expire_time()->set_seconds(absl::ToUnixSeconds(now_) + 100);
  });
  Update(audience, "audiences", [](tollgate::v1::Token* t) { t->add_audiences("staging"); });
  Update(moved, "audiences", [](tollgate::v1::Token* t) { t->add_audiences("production"); });
  const ReplayReport report = Restore();
  EXPECT_EQ(3, report.narrowed);
  EXPECT_THAT(Now(scopes).record.scopes(), IsEmpty());
  EXPECT_THAT(Now(audience).record.audiences(), ElementsAre("staging"));
  EXPECT_EQ("SUSPENDED", State(moved));  // no audience would mean any
  EXPECT_EQ("ACTIVE", State(expiring));
  now_ += absl::Seconds(101);
  EXPECT_EQ("EXPIRED", State(expiring));
  bool due = false;
  for (const storage::Entry& entry : All(storage::Table::kDue)) {
    const storage::Due found = storage::ParseDueKey(entry.key).value();
    due = due || (found.kind == storage::DueKind::kExpire &&
                  found.subject == storage::TokenKey("acme", expiring.token_id()));
  }
  EXPECT_TRUE(due);
}

TEST_F(ReplayTest, WhatIsFinalInTheBackupStaysAsItEnded) {
  const auto ended = Made("ended");
  RevokeIt(ended);
  const std::string before = Now(ended).record.SerializeAsString();
  const auto covered = Made("covered", "team-a");
  RevokeAll("team-a");
  BackUp();
  Made("lost");
  JournalRecord again = journal_[1];  // a revocation of the same tokens, later
  again.mutable_commit()->mutable_tokens(0)->set_update_revision(99);
  journal_.push_back(again);
  *again.mutable_commit()->mutable_tokens(0) = Now(covered).record;
  again.mutable_commit()->mutable_tokens(0)->set_update_revision(99);
  again.mutable_commit()->mutable_tokens(0)->mutable_ending()->set_kind(
      store::v1::Ending::KIND_EXPIRED);
  journal_.push_back(again);
  const ReplayReport report = Restore();
  EXPECT_EQ(before, Now(ended).record.SerializeAsString());
  EXPECT_EQ("REVOKED", State(covered));
  EXPECT_EQ(2, report.already);
}

TEST_F(ReplayTest, LaterEpochsCountWholeAndEarlierOnesNotAtAll) {
  // A section of an epoch before the backup's: it suspends what was resumed since.
  const auto free = Made("free");
  SuspendIt(free);
  std::vector<JournalRecord> earlier = {journal_.back()};
  ResumeIt(free);
  journal_.clear();
  Section("e0", 0);
  journal_.push_back(earlier[0]);
  journal_.back().mutable_commit()->mutable_tokens(0)->set_update_revision(1000);
  Section(kFirstEpoch, Head());
  const auto one = Made("one");
  const auto two = Made("two");
  BackUp();
  auto again = storage::MemoryEngine::CopyOf(*View()).value();
  RevokeIt(one);
  Restore("e2");
  Section("e2", Head());
  ASSERT_EQ("ACTIVE", State(two));
  RevokeIt(two);
  Mark();
  // The same backup once more: both epochs' revocations are lost, though the second one's revisions
  // may be as low as the backup's.
  backup_ = std::move(again);
  Restore("e3");
  EXPECT_EQ("REVOKED", State(one));
  EXPECT_EQ("REVOKED", State(two));
  EXPECT_EQ("ACTIVE", State(free));
}

TEST_F(ReplayTest, ThePlanKnowsWhetherTheJournalCoversTheBackup) {
  Made("one");
  Made("two");
  ReplayPlan covered(kFirstEpoch, 2);
  for (const JournalRecord& record : journal_) covered.Add(record);
  covered.Finish();
  EXPECT_TRUE(covered.found_epoch());
  EXPECT_EQ(0, covered.covers_from());
  ReplayPlan other("e7", 2);
  for (const JournalRecord& record : journal_) other.Add(record);
  EXPECT_FALSE(other.found_epoch());
  journal_.clear();
  Section(kFirstEpoch, 9);
  ReplayPlan gap(kFirstEpoch, 2);
  for (const JournalRecord& record : journal_) gap.Add(record);
  EXPECT_EQ(9, gap.covers_from());
  EXPECT_EQ(9, gap.epoch_last_revision());
  Mark();
  Section("e2", 30);
  ReplayPlan later(kFirstEpoch, 2);
  for (const JournalRecord& record : journal_) later.Add(record);
  EXPECT_EQ(9, later.epoch_last_revision()) << "of the backup's epoch, not of the last one";
  EXPECT_EQ(30, later.last_revision());
}

// A role that was withdrawn after the backup is withdrawn again; one that was given is not.
TEST_F(ReplayTest, WhoMayDoWhatIsAtMostWhatBothAllowed) {
  Bind("unix:gone", "-");
  Bind("unix:narrowed", "a b c");
  Bind("unix:narrowed-from-all", "-");
  Bind("unix:moved", "a");
  Bind("unix:widened", "a");
  Bind("unix:there-and-back", "a b");
  Bind("unix:untouched", "a");
  BackUp();
  Bind("unix:gone", "");
  Bind("unix:narrowed", "b d");
  Bind("unix:narrowed-from-all", "a");
  Bind("unix:moved", "b");
  Bind("unix:widened", "-");
  Bind("unix:there-and-back", "");
  Bind("unix:there-and-back", "b c");
  Bind("unix:new", "-");
  Mark();
  const ReplayReport report = Restore();
  EXPECT_EQ(BoundIn("unix:gone"), "");
  EXPECT_EQ(BoundIn("unix:narrowed"), "b");
  EXPECT_EQ(BoundIn("unix:narrowed-from-all"), "a");
  EXPECT_EQ(BoundIn("unix:moved"), "") << "none in common is nothing, and not everywhere";
  EXPECT_EQ(BoundIn("unix:widened"), "a");
  EXPECT_EQ(BoundIn("unix:there-and-back"), "b");
  EXPECT_EQ(BoundIn("unix:untouched"), "a");
  EXPECT_EQ(BoundIn("unix:new"), "");
  EXPECT_EQ(report.bindings, 5);
  EXPECT_THAT(Audit(), UnorderedElementsAre("restore", "restore.replay WITHDRAWN",
                                            "restore.replay WITHDRAWN", "restore.replay NARROWED",
                                            "restore.replay NARROWED", "restore.replay NARROWED"));
  ASSERT_THAT(events_, testing::SizeIs(1));
  EXPECT_TRUE(events_[0].has_access_changed());
}

// The last entry's commit may never have been: what it takes away is taken, what it gives is not.
TEST_F(ReplayTest, TheLastEntryTakesRolesAwayAndGivesNone) {
  Bind("unix:ada", "a b");
  BackUp();
  Bind("unix:ada", "a");
  Bind("unix:ada", "b");
  Restore();
  EXPECT_EQ(BoundIn("unix:ada"), "") << "what is certain and what is not have none in common";
}

TEST_F(ReplayTest, APlanForAnotherStoreIsRefusedAndNothingIsWritten) {
  const ReplayPlan plan(kFirstEpoch, 77);
  ReplayCommand command(&plan, "e2", "restore", "x");
  EXPECT_EQ(absl::StatusCode::kInternal, RunOne(command).code());
  EXPECT_EQ(0, Head());
}

TEST_F(ReplayTest, WithoutAJournalOnlyTheEpochIsTaken) {
  const auto token = Made("token");
  ReplayCommand command(nullptr, "e2", "new_epoch", "x");
  ASSERT_TRUE(RunOne(command).ok());
  EXPECT_EQ("ACTIVE", State(token));
  EXPECT_EQ("e2", storage::GetRecord<MetaRecord>(*View(), storage::Table::kMeta, storage::kMetaKey)
                      .value()
                      ->epoch());
}

}  // namespace
}  // namespace tollgate::service
