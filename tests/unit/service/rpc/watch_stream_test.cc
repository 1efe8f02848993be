// The feed as a person watches it: bounded for a slow one, one read at a time, and told why it
// ends.
#include "service/rpc/watch_stream.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/service/rpc/rpc_fixture.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;

class WatchStreamTest : public OperationsTest {
 protected:
  OperationsService::Options Options() override {
    OperationsService::Options options;
    options.max_queued = 2;
    options.max_watchers = 2;
    return options;
  }

  // One watcher, whose initial metadata has come: the stream is open.
  class Watcher {
   public:
    Watcher(v1::OperationsService::Stub* stub, int64_t after, const std::string& workspace = "") {
      context_.set_deadline(absl::ToChronoTime(absl::Now() + kRpcPatience));
      v1::WatchEventsRequest request;
      request.set_after_revision(after);
      if (!workspace.empty()) request.set_parent("workspaces/" + workspace);
      stream_ = stub->WatchEvents(&context_, request);
      stream_->WaitForInitialMetadata();
    }
    ~Watcher() {
      Cancel();
      if (!finished_) (void)stream_->Finish();
    }
    // The next revision; 0 where the stream has ended.
    int64_t Next() {
      seen_ = v1::RevisionEvents();
      return stream_->Read(&seen_) ? seen_.revision() : 0;
    }
    const v1::RevisionEvents& seen() const { return seen_; }
    void Cancel() { context_.TryCancel(); }
    absl::Status End() {
      while (Next() != 0) {
      }
      finished_ = true;
      return net::FromGrpcStatus(stream_->Finish());
    }

   private:
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientReader<v1::RevisionEvents>> stream_;
    v1::RevisionEvents seen_;
    bool finished_ = false;
  };
};

TEST_F(WatchStreamTest, AllThatComesIsReadInOrder) {
  const int64_t first = Tell({Changed("acme")});
  Watcher watcher(stub_.get(), first);
  std::vector<int64_t> told, seen;
  for (int i = 0; i < 20; ++i) told.push_back(Tell({Changed("acme")}));
  while (seen.size() < told.size()) {
    const int64_t revision = watcher.Next();
    ASSERT_NE(revision, 0) << watcher.End();
    seen.push_back(revision);
  }
  EXPECT_EQ(seen, told);
}

TEST_F(WatchStreamTest, OneReadIsUnderWayAtATimeAndAWakeMeanwhileIsNotLost) {
  const int64_t first = Tell({Changed("acme")});
  reads_->Hold();
  Watcher watcher(stub_.get(), first);
  // Both come while a read waits already: no other is asked for.
  const int64_t second = Tell({Changed("acme")});
  const int64_t third = Tell({Changed("acme")});
  ASSERT_TRUE(reads_->RunOne());
  EXPECT_EQ(watcher.Next(), second);
  EXPECT_EQ(watcher.Next(), third);
  const int64_t fourth = Tell({Changed("acme")});
  // The wire that fell idle, the wake-ups: each may have asked for one more read.
  std::thread runs([&] {
    while (reads_->RunOne(absl::Milliseconds(200))) {
    }
  });
  EXPECT_EQ(watcher.Next(), fourth);
  runs.join();
  EXPECT_EQ(reads_->most_held(), 1u);
}

TEST_F(WatchStreamTest, NothingMoreIsReadForOneThatDoesNotTakeWhatItHas) {  // I5
  constexpr int kRevisions = 40;
  constexpr size_t kBytes = 512 << 10;  // 20 MiB in all: more than a connection takes unread
  const int64_t first = Tell({Changed("acme")});
  // The ring holds eight of them, so that most are read from the store.
  for (int i = 0; i < kRevisions; ++i) Tell({Changed("acme", kBytes)});
  reads_->Hold();
  Watcher watcher(stub_.get(), first);
  // However long it is given, and however often it is woken: with two revisions a read, twenty
  // would read everything.
  int reads = 0;
  while (reads_->RunOne(absl::Milliseconds(500))) ++reads;
  std::vector<int64_t> more;
  for (int i = 0; i < kRevisions / 2; ++i) {
    more.push_back(Tell({Changed("acme")}));
    if (reads_->RunOne(absl::Milliseconds(20))) ++reads;
  }
  EXPECT_LT(reads, kRevisions / 2);
  // It has lost nothing by it.
  reads_->Open();
  for (int i = 1; i <= kRevisions; ++i) ASSERT_EQ(watcher.Next(), first + i);
  for (const int64_t revision : more) ASSERT_EQ(watcher.Next(), revision);
}

TEST_F(WatchStreamTest, OfAnotherWorkspaceNothingIsTold) {
  const int64_t first = Tell({Changed("acme")});
  Watcher watcher(stub_.get(), first, "acme");
  for (int i = 0; i < 5; ++i) Tell({Changed("other")});
  v1::Event made, cohort;
  made.mutable_token_created()->set_workspace("acme");
  cohort.mutable_cohort_revoked()->set_workspace("other");
  // What this build does not know may be about anybody.
  const int64_t mixed = Tell({Changed("other"), made, cohort, v1::Event(), Changed("acme")});
  EXPECT_EQ(watcher.Next(), mixed);
  std::vector<v1::Event::SubjectCase> kinds;
  for (const v1::Event& event : watcher.seen().events()) kinds.push_back(event.subject_case());
  EXPECT_THAT(kinds, ElementsAre(v1::Event::kTokenCreated, v1::Event::SUBJECT_NOT_SET,
                                 v1::Event::kTokenChanged));
  cohort.mutable_cohort_revoked()->set_workspace("acme");
  const int64_t revoked = Tell({cohort});
  EXPECT_EQ(watcher.Next(), revoked);
  v1::Event policy;
  policy.mutable_workspace_changed()->set_workspace("other");
  Tell({policy});
  policy.mutable_workspace_changed()->set_workspace("acme");
  const int64_t changed = Tell({policy});
  EXPECT_EQ(watcher.Next(), changed);
}

TEST_F(WatchStreamTest, SaysWhoDidWhat) {
  const int64_t first = Tell({Changed("acme")});
  Watcher all(stub_.get(), first);
  Watcher acme(stub_.get(), first, "acme");
  const auto entry = [](const std::string& workspace, const std::string& label) {
    store::v1::AuditRecord record;
    record.set_actor("spiffe://ops");
    record.set_action("token.revoke");
    record.set_resource("workspaces/" + workspace + "/tokens/id");
    record.set_workspace(workspace);
    record.set_reason("in a gist");
    (*record.mutable_details())["label"] = label;
    return record;
  };
  const int64_t revision = Commit([&](const storage::Slot&, storage::Effects& effects) {
    for (const char* workspace : {"acme", "other"}) {
      effects.PutRaw(storage::Table::kLabels, "touched", "");
      effects.Tell(Changed(workspace));
      effects.Audit(entry(workspace, "CI deploy key"));
    }
  });
  ASSERT_EQ(all.Next(), revision);
  EXPECT_EQ(all.seen().changes_size(), 2);
  EXPECT_EQ(all.seen().epoch(), hub_->epoch());
  ASSERT_EQ(acme.Next(), revision);
  ASSERT_EQ(acme.seen().changes_size(), 1);
  const v1::RevisionChange& change = acme.seen().changes(0);
  EXPECT_EQ(change.action(), "token.revoke");
  EXPECT_EQ(change.resource(), "workspaces/acme/tokens/id");
  EXPECT_EQ(change.label(), "CI deploy key");
  EXPECT_EQ(change.actor(), "spiffe://ops");
  EXPECT_EQ(change.reason(), "in a gist");
  EXPECT_GT(change.time().seconds(), 0);
  // Of a revision without entries there is nothing to say; of one with many, as many as fit.
  const int64_t silent = Tell({Changed("acme")});
  ASSERT_EQ(all.Next(), silent);
  EXPECT_EQ(all.seen().changes_size(), 0);
  const int64_t large = Commit([&](const storage::Slot&, storage::Effects& effects) {
    effects.PutRaw(storage::Table::kLabels, "touched", "");
    effects.Tell(Changed("acme"));
    for (int i = 0; i < 300; ++i) effects.Audit(entry("acme", std::string(10'000, 'x')));
  });
  ASSERT_EQ(all.Next(), large);
  EXPECT_GT(all.seen().changes_left_out(), 0);
  EXPECT_EQ(all.seen().changes_size() + all.seen().changes_left_out(), 300);
}

// Who has which role is told to whoever may read the audit log of the service, and to nobody else:
// a reader of all workspaces is none of those.
TEST_F(WatchStreamTest, ChangesOfRolesAreToldToWhoMayReadTheAuditLog) {
  const int64_t first = Tell({Changed("acme")});
  const auto grant = [](storage::Effects& effects) {
    v1::Event event;
    event.mutable_access_changed();
    effects.Tell(std::move(event));
    store::v1::AuditRecord record;
    record.set_action("access.grant");
    record.set_resource("bindings/issuer/unix:ada");
    effects.Audit(std::move(record));
  };
  const int64_t granted =
      Commit([&](const storage::Slot&, storage::Effects& effects) { grant(effects); });
  const auto grant_and_more = [&] {
    return Commit([&](const storage::Slot&, storage::Effects& effects) {
      grant(effects);
      effects.Tell(Changed("acme"));
      store::v1::AuditRecord record;
      record.set_action("token.revoke");
      record.set_resource("workspaces/acme/tokens/id");
      record.set_workspace("acme");
      effects.Audit(std::move(record));
    });
  };
  const int64_t both = grant_and_more();
  JudgeBy({LocalAs(Role::kAuditor), LocalAs(Role::kReader)});
  Watcher auditor(stub_.get(), first);
  ASSERT_EQ(auditor.Next(), granted);
  ASSERT_EQ(auditor.seen().changes_size(), 1);
  EXPECT_EQ(auditor.seen().changes(0).resource(), "bindings/issuer/unix:ada");
  ASSERT_EQ(auditor.Next(), both);
  EXPECT_EQ(auditor.seen().events_size(), 2);
  JudgeBy({LocalAs(Role::kReader)});
  const int64_t after = grant_and_more();
  ASSERT_EQ(auditor.Next(), after);
  EXPECT_EQ(auditor.seen().events_size(), 1) << "he is no auditor any more";
  EXPECT_EQ(auditor.seen().changes_size(), 1);
  Watcher reader(stub_.get(), first);
  ASSERT_EQ(reader.Next(), both) << "of the grant alone there is nothing to tell";
  ASSERT_EQ(reader.seen().events_size(), 1);
  EXPECT_TRUE(reader.seen().events(0).has_token_changed());
  ASSERT_EQ(reader.seen().changes_size(), 1);
  EXPECT_EQ(reader.seen().changes(0).action(), "token.revoke");
}

// A name may be used again, by others: whose role is in the workspace as it is learns nothing of
// the former one.
TEST_F(WatchStreamTest, OfAFormerWorkspaceOfTheNameNothingIsTold) {
  const auto make = [this] {
    return Commit([](const storage::Slot& slot, storage::Effects& effects) {
      store::v1::WorkspaceRecord record;
      record.set_workspace("acme");
      record.set_create_revision(slot.revision);
      effects.Put(storage::Table::kWorkspaces, "acme", record);
      effects.Tell(Changed("acme"));
    });
  };
  const int64_t before = Tell({Changed("acme")});
  const int64_t former = make();
  Tell({Changed("acme")});
  Commit([](const storage::Slot&, storage::Effects& effects) {
    effects.Delete(storage::Table::kWorkspaces, "acme");
  });
  JudgeBy({LocalAs(Role::kReader, {"acme"})});
  Watcher watcher(stub_.get(), before, "acme");
  Tell({Changed("acme")});  // of none that is there
  const int64_t made = make();
  EXPECT_EQ(watcher.Next(), made);
  const int64_t next = Tell({Changed("acme")});
  EXPECT_EQ(watcher.Next(), next);
  // Whoever may watch all workspaces is told what was.
  JudgeBy({LocalAs(Role::kReader)});
  Watcher all(stub_.get(), before, "acme");
  EXPECT_EQ(all.Next(), former);
}

class LargeWatchStreamTest : public WatchStreamTest {
 protected:
  OperationsService::Options Options() override {
    OperationsService::Options options = WatchStreamTest::Options();
    options.max_queued = 6;
    return options;
  }
};

TEST_F(LargeWatchStreamTest, WhatWaitsForASlowOneIsBoundedInBytesAndNoneIsLeftOut) {  // I5
  const int64_t first = Tell({Changed("acme")});
  reads_->Hold();
  Watcher watcher(stub_.get(), first);
  std::vector<int64_t> told;
  for (int i = 0; i < 6; ++i) {
    told.push_back(Commit([&](const storage::Slot&, storage::Effects& effects) {
      effects.PutRaw(storage::Table::kLabels, "touched", "");
      effects.Tell(Changed("acme"));
      store::v1::AuditRecord record;
      record.set_reason(std::string(1'900'000, 'x'));
      effects.Audit(std::move(record));
    }));
  }
  // What is read at once is shown in parts: three revisions are more than 4 MiB.
  ASSERT_TRUE(reads_->RunOne());
  for (int i = 0; i < 3; ++i) ASSERT_EQ(watcher.Next(), told[i]);
  ASSERT_TRUE(reads_->RunOne());
  for (int i = 3; i < 6; ++i) ASSERT_EQ(watcher.Next(), told[i]);
}

TEST_F(WatchStreamTest, ARevisionOfAnotherEpochIsNoPlaceToBeginAt) {
  const int64_t first = Tell({Changed("acme")});
  const auto watch = [&](const std::string& epoch) {
    grpc::ClientContext context;
    v1::WatchEventsRequest request;
    request.set_after_revision(first - 1);
    request.set_epoch(epoch);
    const auto stream = stub_->WatchEvents(&context, request);
    v1::RevisionEvents seen;
    const bool read = stream->Read(&seen);
    if (read) context.TryCancel();  // one that was refused has ended by itself
    const grpc::Status ended = stream->Finish();
    return read ? "read" : base::ReasonOf(net::FromGrpcStatus(ended));
  };
  EXPECT_EQ(watch(hub_->epoch()), "read");
  EXPECT_EQ(watch(""), "read");
  EXPECT_EQ(watch("another"), "OTHER_EPOCH");
}

TEST_F(WatchStreamTest, WhatIsNoLongerKeptEndsIt) {
  const int64_t first = Tell({Changed("acme")});
  for (int i = 0; i < 20; ++i) Tell({Changed("acme")});
  Commit([&](const storage::Slot&, storage::Effects& effects) {
    for (int64_t revision = 1; revision <= first + 5; ++revision) {
      effects.Delete(storage::Table::kEvents, storage::RevisionKey(revision));
    }
    effects.CompactEventsTo(first + 5);
  });
  Watcher watcher(stub_.get(), first);
  const absl::Status ended = watcher.End();
  EXPECT_EQ(ended.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(base::ReasonOf(ended), "COMPACTED");
}

TEST_F(WatchStreamTest, NoRoomForAReadEndsIt) {
  const int64_t first = Tell({Changed("acme")});
  reads_->SetFull(true);
  Watcher watcher(stub_.get(), first);
  const absl::Status ended = watcher.End();
  EXPECT_EQ(ended.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(base::ReasonOf(ended), "OVERLOADED");
}

TEST_F(WatchStreamTest, OneThatGoesLeavesItsPlace) {
  const int64_t head = Tell({Changed("acme")});
  Watcher first(stub_.get(), head);
  {
    Watcher second(stub_.get(), head);
    EXPECT_EQ(base::ReasonOf(Watcher(stub_.get(), head).End()), "TOO_MANY_WATCHERS");
  }
  // Its place is free once its end has been told of.
  EXPECT_TRUE(ComesTrue([&] {
    Watcher third(stub_.get(), head);
    Tell({Changed("acme")});
    return third.Next() != 0;
  }));
}

TEST_F(WatchStreamTest, AReadThatIsUnderWayWhenItEndsIsFinishedFirst) {
  const int64_t head = Tell({Changed("acme")});
  Watcher stays(stub_.get(), head);
  reads_->Hold();
  auto goes = std::make_unique<Watcher>(stub_.get(), head);
  goes.reset();
  // Whether the stream has ended meanwhile or not, the read finds what it reads with.
  ASSERT_TRUE(reads_->RunOne());
  reads_->Open();
  EXPECT_TRUE(ComesTrue([&] {
    Watcher next(stub_.get(), head);
    Tell({Changed("acme")});
    return next.Next() != 0;
  }));
}

TEST_F(WatchStreamTest, ADrainEndsAllAndTakesNoMore) {
  const int64_t head = Tell({Changed("acme")});
  Watcher watcher(stub_.get(), head);
  operations_->EndStreams();
  absl::Status ended = watcher.End();
  EXPECT_EQ(ended.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(base::ReasonOf(ended), "DRAINING");
  EXPECT_EQ(base::ReasonOf(Watcher(stub_.get(), head).End()), "DRAINING");
}

TEST_F(WatchStreamTest, OneThatTakesNothingIsCutByADrain) {
  const int64_t first = Tell({Changed("acme")});
  for (int i = 0; i < 40; ++i) Tell({Changed("acme", 512 << 10)});
  reads_->Hold();
  Watcher watcher(stub_.get(), first);
  while (reads_->RunOne(absl::Milliseconds(500))) {
  }
  reads_->Open();
  operations_->EndStreams();
  const absl::Time start = absl::Now();
  operations_->CutStreams(absl::Milliseconds(100));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(100)) << "it has not taken its end";
  operations_->CutStreams(kRpcPatience);
  EXPECT_LT(absl::Now() - start, kRpcPatience / 2) << "and is cut";
}

}  // namespace
}  // namespace tollgate::service
