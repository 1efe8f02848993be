#include <functional>
#include <memory>

#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/memory/memory_engine.h"
#include "storage/sequencer.h"
#include "storage/start_command.h"
#include "test_commands.h"
#include "tests/instruments/audit_chain.h"

namespace tollgate::storage {
namespace {

using store::v1::EventsRecord;
using store::v1::HeadRecord;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1700000000);

class RunBatchTest : public ::testing::Test {
 protected:
  BatchOutcome Run(std::vector<std::shared_ptr<Command>> commands) {
    std::vector<Command*> pointers;
    for (const auto& command : commands) pointers.push_back(command.get());
    return RunBatch(*engine_->NewSnapshot().value(), kNow, pointers).value();
  }
  BatchOutcome RunAndCommit(std::vector<std::shared_ptr<Command>> commands) {
    BatchOutcome outcome = Run(std::move(commands));
    if (outcome.has_effects) {
      const CommitResult result = engine_->Commit(outcome.request).value();
      EXPECT_TRUE(result.committed);
    }
    return outcome;
  }
  HeadRecord Head() {
    return *GetRecord<HeadRecord>(*engine_->NewSnapshot().value(), Table::kMeta, kHeadKey).value();
  }
  std::unique_ptr<MemoryEngine> engine_ = MemoryEngine::Open().value();
};

TEST_F(RunBatchTest, OneRevisionForAllWithTheirPlaces) {
  const BatchOutcome outcome = RunAndCommit({PutLabel("a", "1"), PutLabel("b", "2")});
  ASSERT_EQ(outcome.results.size(), 2u);
  EXPECT_EQ(outcome.results[0]->revision, 1);
  EXPECT_EQ(outcome.results[0]->index, 0u);
  EXPECT_EQ(outcome.results[1]->revision, 1);
  EXPECT_EQ(outcome.results[1]->index, 1u);
  ASSERT_EQ(outcome.request.events.events().events_size(), 2);
  EXPECT_EQ(outcome.request.events.events().revision(), 1);
  EXPECT_EQ(outcome.request.events.events().events(1).index(), 1u);
  EXPECT_EQ(outcome.request.events.time_us(), absl::ToUnixMicros(kNow));
  EXPECT_EQ(Head().revision(), 1);
  EXPECT_EQ(Head().last_event_revision(), 1);
  EXPECT_EQ(Head().time_us(), absl::ToUnixMicros(kNow));
}

// What is stored is not ours to assert: it is damage, and said so, not an end of the process.
TEST_F(RunBatchTest, AHeadThatTellsOfRevisionsAboveItselfIsDamage) {
  const auto run_after = [](const std::function<void(HeadRecord&)>& spoil) {
    const std::unique_ptr<MemoryEngine> engine = MemoryEngine::Open().value();
    HeadRecord head;
    head.set_revision(1);
    spoil(head);
    CommitRequest commit;
    commit.mutations.push_back({Table::kMeta, kHeadKey, SerializeRecord(head)});
    EXPECT_TRUE(engine->Commit(commit).value().committed);
    const auto command = PutLabel("b", "1");
    return RunBatch(*engine->NewSnapshot().value(), kNow, {command.get()}).status();
  };
  const std::function<void(HeadRecord&)> damages[] = {
      [](HeadRecord& head) { head.set_compacted_revision(2); },
      [](HeadRecord& head) { head.set_compacted_revision(-1); },
      [](HeadRecord& head) { head.set_last_event_revision(2); },
  };
  for (const auto& damage : damages) {
    const absl::Status refused = run_after(damage);
    EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss) << refused;
    EXPECT_EQ(base::ReasonOf(refused), "STORE_CORRUPT") << refused;
  }
  EXPECT_TRUE(run_after([](HeadRecord& head) {
                head.set_compacted_revision(1);
                head.set_last_event_revision(1);
              }).ok());
  // No revision could follow it.
  const auto engine = MemoryEngine::Open().value();
  const auto snapshot = engine->NewSnapshot().value();
  OverlayView view(snapshot.get());
  HeadRecord last;
  last.set_revision(INT64_MAX);
  view.Apply({Table::kMeta, kHeadKey, SerializeRecord(last)});
  EXPECT_EQ(base::ReasonOf(ReadHead(view).status()), "STORE_CORRUPT");
}

TEST_F(RunBatchTest, AnErrorWritesNothingOfItsCommandAndSparesTheOthers) {
  const auto half = Do([](const View&, const Slot&, Effects& effects) {
    effects.PutRaw(Table::kLabels, "half", "x");
    effects.Tell(v1::Event());
    effects.Audit(store::v1::AuditRecord());
    effects.CompactEventsTo(0);
    return absl::FailedPreconditionError("no");
  });
  const BatchOutcome outcome = RunAndCommit({PutLabel("a", "1"), half, PutLabel("c", "1")});
  EXPECT_TRUE(outcome.results[0].ok());
  EXPECT_EQ(outcome.results[1].status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(outcome.results[2]->index, 2u);
  const auto snapshot = engine_->NewSnapshot().value();
  EXPECT_THAT(ScanKeys(*snapshot, Table::kLabels, "", "", 10), ElementsAre("a", "c"));
  EXPECT_EQ(outcome.request.events.events().events_size(), 2);
  EXPECT_EQ(instruments::VerifyAuditChain(*snapshot)->entries, 2);
}

TEST_F(RunBatchTest, NothingToWriteWithoutEffects) {
  RunAndCommit({PutLabel("a", "1")});
  const auto look = Do([](const View&, const Slot&, Effects&) { return absl::OkStatus(); });
  const auto fail = Do([](const View&, const Slot&, Effects& effects) {
    effects.PutRaw(Table::kLabels, "x", "x");
    return absl::NotFoundError("no");
  });
  const BatchOutcome outcome = Run({look, fail});
  EXPECT_FALSE(outcome.has_effects);
  EXPECT_THAT(outcome.request.mutations, IsEmpty());
  EXPECT_EQ(outcome.results[0]->revision, 1) << "the head it was judged at";
  EXPECT_FALSE(Run({}).has_effects);
}

TEST_F(RunBatchTest, LaterCommandsSeeEarlierOnes) {
  RunAndCommit({PutLabel("old", "1")});
  std::vector<std::string> seen;
  const auto remove = Do([](const View&, const Slot&, Effects& effects) {
    effects.Delete(Table::kLabels, "old");
    return absl::OkStatus();
  });
  const auto look = Do([&](const View& view, const Slot&, Effects&) {
    seen = ScanKeys(view, Table::kLabels, "", "", 10);
    return view.Get(Table::kLabels, "old").value().has_value()
               ? absl::InternalError("sees what was deleted")
               : absl::OkStatus();
  });
  const BatchOutcome outcome = Run({PutLabel("new", "2"), remove, look});
  EXPECT_TRUE(outcome.results[2].ok());
  EXPECT_THAT(seen, ElementsAre("new"));
  // It rests on effects of this commit, so it is only as durable as they are.
  EXPECT_EQ(outcome.results[2]->revision, 2);
}

TEST_F(RunBatchTest, HeadKeepsWhatACommitDoesNotChange) {
  RunAndCommit({PutLabel("a", "1")});
  const auto quiet = Do([](const View&, const Slot&, Effects& effects) {
    effects.PutRaw(Table::kLabels, "b", "2");
    return absl::OkStatus();
  });
  const std::string hash = Head().audit_hash();
  EXPECT_EQ(hash.size(), 32u);
  RunAndCommit({quiet});
  EXPECT_EQ(Head().revision(), 2);
  EXPECT_EQ(Head().last_event_revision(), 1);
  EXPECT_EQ(Head().audit_hash(), hash);
  EXPECT_THAT(ScanKeys(*engine_->NewSnapshot().value(), Table::kEvents, "", "", 10),
              ElementsAre(RevisionKey(1)));
}

TEST_F(RunBatchTest, CompactionRaisesAndNeverLowers) {
  for (int i = 0; i < 3; ++i) RunAndCommit({PutLabel("a", "1")});
  const auto compact = [](int64_t to) {
    return Do([to](const View&, const Slot&, Effects& effects) {
      for (int64_t r = 1; r <= to; ++r) effects.Delete(Table::kEvents, RevisionKey(r));
      effects.CompactEventsTo(to);
      return absl::OkStatus();
    });
  };
  RunAndCommit({compact(2)});
  EXPECT_EQ(Head().compacted_revision(), 2);
  RunAndCommit({compact(1)});
  EXPECT_EQ(Head().compacted_revision(), 2);
  EXPECT_EQ(Run({compact(Head().revision() + 1)}).results[0].status().code(),
            absl::StatusCode::kInternal);
}

// In the same commit, under each token that it names.
TEST_F(RunBatchTest, AnEntryIsFoundByTheTokensThatItIsAbout) {
  const std::string old = "workspaces/acme/tokens/4mXp81QzR0aYc7Ld";
  const std::string made = "workspaces/acme/tokens/9sVb02KqT5eWx1Nf";
  const auto audit = [](const std::string& resource, const std::string& replaced_by) {
    return Do([=](const View&, const Slot&, Effects& effects) {
      store::v1::AuditRecord entry;
      entry.set_resource(resource);
      if (!replaced_by.empty()) (*entry.mutable_details())["replaced_by"] = replaced_by;
      effects.Audit(std::move(entry));
      return absl::OkStatus();
    });
  };
  RunAndCommit({audit("workspaces/acme", ""), audit(old, made), audit(made, ""), audit("", "")});
  const auto snapshot = engine_->NewSnapshot().value();
  EXPECT_THAT(ScanKeys(*snapshot, Table::kAuditByToken, "", "", 10),
              ElementsAre(AuditByTokenKey("acme", "4mXp81QzR0aYc7Ld", AuditKey(1, 1)),
                          AuditByTokenKey("acme", "9sVb02KqT5eWx1Nf", AuditKey(1, 1)),
                          AuditByTokenKey("acme", "9sVb02KqT5eWx1Nf", AuditKey(1, 2))));
}

TEST_F(RunBatchTest, CommandsLeaveTheSequencersRecordsAlone) {
  const auto forbidden = [](Table table, std::string key) {
    return Do([=](const View&, const Slot&, Effects& effects) {
      effects.PutRaw(table, key, "x");
      return absl::OkStatus();
    });
  };
  const auto unaudit = Do([](const View&, const Slot&, Effects& effects) {
    effects.Delete(Table::kAudit, AuditKey(1, 0));
    return absl::OkStatus();
  });
  const BatchOutcome outcome =
      Run({forbidden(Table::kMeta, kHeadKey), forbidden(Table::kEvents, RevisionKey(1)),
           forbidden(Table::kAudit, AuditKey(1, 0)), unaudit,
           forbidden(Table::kAuditByToken, "key"), forbidden(Table::kMeta, kMetaKey)});
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(outcome.results[i].status().code(), absl::StatusCode::kInternal) << i;
  }
  EXPECT_TRUE(outcome.results[5].ok()) << "MetaRecord is a command's to change (R5)";
}

TEST_F(RunBatchTest, AnEarlierEntryIsKeptInATokensHistory) {
  const auto keep = Do([](const View&, const Slot&, Effects& effects) {
    effects.KeepInHistory("acme", "T", AuditKey(3, 1));
    return absl::OkStatus();
  });
  const BatchOutcome outcome = Run({keep});
  ASSERT_TRUE(outcome.results[0].ok()) << outcome.results[0].status();
  EXPECT_TRUE(outcome.has_effects);
  const std::string key = AuditByTokenKey("acme", "T", AuditKey(3, 1));
  bool found = false;
  for (const Mutation& mutation : outcome.request.mutations) {
    if (mutation.table != Table::kAuditByToken) continue;
    found = mutation.key == key && mutation.value == std::string(kEndedWithOthers);
  }
  EXPECT_TRUE(found);
}

TEST_F(RunBatchTest, IsPure) {
  const auto a = Run({PutLabel("a", "1"), PutLabel("b", "2")});
  const auto b = Run({PutLabel("a", "1"), PutLabel("b", "2")});
  ASSERT_EQ(a.request.mutations.size(), b.request.mutations.size());
  for (size_t i = 0; i < a.request.mutations.size(); ++i) {
    EXPECT_EQ(a.request.mutations[i].key, b.request.mutations[i].key);
    EXPECT_EQ(a.request.mutations[i].value, b.request.mutations[i].value);
  }
}

TEST_F(RunBatchTest, AStartIsAnAuditEntryOfItsOwnRevision) {
  RunAndCommit({std::make_shared<ServiceStarted>("1.2.3", "abcd", "boot")});
  EXPECT_EQ(Head().revision(), 1);
  std::vector<store::v1::AuditRecord> entries;
  ASSERT_TRUE(
      instruments::VerifyAuditChain(*engine_->NewSnapshot().value(), [&](const auto& entry) {
        entries.push_back(entry);
      }).ok());
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].action(), "service.start");
  EXPECT_EQ(entries[0].details().at("version"), "1.2.3");
  EXPECT_EQ(entries[0].details().at("term"), "abcd");
  EXPECT_EQ(entries[0].revision(), 1);
}

TEST_F(RunBatchTest, EachStartBeginsATermThatIsKept) {
  RunAndCommit({std::make_shared<ServiceStarted>("1.2.3", "abcd", "boot")});
  RunAndCommit({PutLabel("a", "1")});
  RunAndCommit({std::make_shared<ServiceStarted>("1.2.4", "ef01", "")});
  const std::vector<store::v1::TermRecord> terms =
      ReadTerms(*engine_->NewSnapshot().value()).value();
  ASSERT_EQ(terms.size(), 2u);
  EXPECT_EQ(terms[0].term(), "abcd");
  EXPECT_EQ(terms[0].from_revision(), 1);
  EXPECT_EQ(terms[0].start_time_us(), absl::ToUnixMicros(kNow));
  EXPECT_EQ(terms[0].boot_id(), "boot");
  EXPECT_EQ(terms[0].version(), "1.2.3");
  EXPECT_EQ(terms[1].term(), "ef01");
  EXPECT_EQ(terms[1].from_revision(), 3);
}

TEST_F(RunBatchTest, EachRevisionHasAFingerprintThatIsKept) {
  std::vector<std::string> told;
  const auto tail =
      engine_->TailFrom(0, [&](const TailEntry& entry) { told.push_back(entry.fingerprint); })
          .value();
  for (int i = 1; i <= 3; ++i) {
    const BatchOutcome outcome = RunAndCommit({PutLabel("a", absl::StrCat(i))});
    const auto snapshot = engine_->NewSnapshot().value();
    ASSERT_EQ(Head().fingerprint().size(), 32u);
    EXPECT_EQ(FingerprintAt(*snapshot, i).value(), Head().fingerprint());
    ASSERT_EQ(told.size(), static_cast<size_t>(i));
    EXPECT_EQ(told.back(), Head().fingerprint());
  }
  EXPECT_EQ(FingerprintAt(*engine_->NewSnapshot().value(), 4).value(), absl::nullopt);
  EXPECT_NE(told[0], told[1]);
  EXPECT_NE(told[1], told[2]);
}

TEST_F(RunBatchTest, HistoriesThatDifferedOnceNeverHaveTheSameFingerprintAgain) {
  const auto fingerprint = [](std::vector<std::shared_ptr<Command>> first, absl::Time now) {
    const auto engine = MemoryEngine::Open().value();
    for (std::shared_ptr<Command> command :
         std::vector<std::shared_ptr<Command>>{first[0], PutLabel("same", "1")}) {
      EXPECT_TRUE(
          engine->Commit(RunBatch(*engine->NewSnapshot().value(), now, {command.get()})->request)
              ->committed);
    }
    return GetRecord<HeadRecord>(*engine->NewSnapshot().value(), Table::kMeta, kHeadKey)
        .value()
        ->fingerprint();
  };
  const auto one = [](Table table, const std::string& key, absl::optional<std::string> value) {
    return Do([=](const View&, const Slot&, Effects& effects) {
      if (value.has_value()) {
        effects.PutRaw(table, key, *value);
      } else {
        effects.Delete(table, key);
      }
      return absl::OkStatus();
    });
  };
  const std::string base = fingerprint({one(Table::kLabels, "ab", "c")}, kNow);
  EXPECT_EQ(fingerprint({one(Table::kLabels, "ab", "c")}, kNow), base);
  EXPECT_NE(fingerprint({one(Table::kLabels, "ab", "c")}, kNow + absl::Microseconds(1)), base);
  EXPECT_NE(fingerprint({one(Table::kLabels, "a", "bc")}, kNow), base) << "where parts end counts";
  EXPECT_NE(fingerprint({one(Table::kDue, "ab", "c")}, kNow), base);
  EXPECT_NE(fingerprint({one(Table::kLabels, "ab", "")}, kNow),
            fingerprint({one(Table::kLabels, "ab", absl::nullopt)}, kNow));
  EXPECT_NE(fingerprint({Do([](const View&, const Slot&, Effects& effects) {
                          effects.PutRaw(Table::kLabels, "ab", "c");
                          effects.Tell(v1::Event());
                          return absl::OkStatus();
                        })},
                        kNow),
            base);
}

TEST_F(RunBatchTest, ACommitOnOneWithoutAFingerprintBeginsTheChain) {
  HeadRecord head;
  head.set_revision(1);
  CommitRequest old;
  old.mutations.push_back(Mutation{Table::kMeta, kHeadKey, SerializeRecord(head)});
  ASSERT_TRUE(engine_->Commit(old)->committed);
  RunAndCommit({PutLabel("a", "1")});
  EXPECT_EQ(Head().fingerprint().size(), 32u);
  std::vector<std::string> told;
  const auto tail =
      engine_->TailFrom(0, [&](const TailEntry& entry) { told.push_back(entry.fingerprint); })
          .value();
  EXPECT_THAT(told, ElementsAre("", Head().fingerprint()));
}

TEST_F(RunBatchTest, NoCommandWritesAFingerprint) {
  const BatchOutcome outcome = Run({Do([](const View&, const Slot&, Effects& effects) {
    effects.PutRaw(Table::kFingerprints, RevisionKey(1), "x");
    return absl::OkStatus();
  })});
  EXPECT_EQ(outcome.results[0].status().code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(outcome.has_effects);
}

}  // namespace
}  // namespace tollgate::storage
