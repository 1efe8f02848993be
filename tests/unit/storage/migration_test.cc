#include "storage/migration.h"

#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/memory/memory_engine.h"
#include "storage/overlay_view.h"
#include "storage/schema.h"
#include "storage/sequencer.h"
#include "test_commands.h"

namespace tollgate::storage {
namespace {

using store::v1::HeadRecord;
using store::v1::MetaRecord;
using ::testing::IsEmpty;

// A store as format 1 left it, at revision 1.
class OldStore {
 public:
  explicit OldStore(const std::string& audit_hash = "audit", int64_t created = 42) {
    MemoryEngine::Options options;
    options.create_time_us = created;
    engine_ = MemoryEngine::Open(options).value();
    MetaRecord meta = Meta();
    meta.set_format(1);
    meta.clear_store_id();
    HeadRecord head;
    head.set_revision(1);
    head.set_audit_hash(audit_hash);
    Write({Mutation{Table::kMeta, kMetaKey, SerializeRecord(meta)},
           Mutation{Table::kMeta, kHeadKey, SerializeRecord(head)},
           Mutation{Table::kLabels, "a", "1"}});
  }
  const View& view() {
    snapshot_ = engine_->NewSnapshot().value();
    return *snapshot_;
  }
  MetaRecord Meta() { return *GetRecord<MetaRecord>(view(), Table::kMeta, kMetaKey).value(); }
  HeadRecord Head() { return *GetRecord<HeadRecord>(view(), Table::kMeta, kHeadKey).value(); }
  // Without a revision of its own, as an engine writes a migration.
  void Put(const std::vector<Mutation>& part) {
    before_ = engine_->NewSnapshot().value();
    overlay_ = std::make_unique<OverlayView>(before_.get());
    for (const Mutation& mutation : part) overlay_->Apply(mutation);
  }
  const View& migrated() const { return *overlay_; }

 private:
  void Write(std::vector<Mutation> mutations) {
    CommitRequest request;
    request.mutations = std::move(mutations);
    ASSERT_TRUE(engine_->Commit(request)->committed);
  }
  std::unique_ptr<MemoryEngine> engine_;
  std::unique_ptr<Snapshot> snapshot_;
  std::unique_ptr<Snapshot> before_;
  std::unique_ptr<OverlayView> overlay_;
};

TEST(MigrationTest, AStoreOfThisFormatNeedsNone) {
  const auto engine = MemoryEngine::Open().value();
  EXPECT_THAT(NextMigration(*engine->NewSnapshot().value()).value(), IsEmpty());
}

TEST(MigrationTest, Format1GetsAnIdAndAFingerprintAndKeepsItsRevision) {
  OldStore store;
  store.Put(NextMigration(store.view()).value());
  const auto meta = GetRecord<MetaRecord>(store.migrated(), Table::kMeta, kMetaKey).value();
  EXPECT_EQ(meta->format(), 2u);
  EXPECT_EQ(meta->store_id().size(), 32u);
  EXPECT_EQ(meta->store_id(), StoreIdOf(store.Meta())) << "a copy from before has the same";
  const auto head = GetRecord<HeadRecord>(store.migrated(), Table::kMeta, kHeadKey).value();
  EXPECT_EQ(head->revision(), 1);
  EXPECT_EQ(head->audit_hash(), "audit");
  EXPECT_EQ(head->fingerprint().size(), 32u);
  EXPECT_EQ(FingerprintAt(store.migrated(), 1).value(), head->fingerprint());
  EXPECT_EQ(store.migrated().Get(Table::kLabels, "a").value(), "1");
}

// Rows of attempts alone are what it is for: a program of format 2 would read a use in each.
TEST(MigrationTest, Format2BecomesFormat3AndNothingElseChanges) {
  OldStore store;
  MetaRecord meta = store.Meta();
  meta.set_format(2);
  meta.set_store_id("id");
  store.Put({Mutation{Table::kMeta, kMetaKey, SerializeRecord(meta)}});
  const auto step = NextMigration(store.migrated()).value();
  meta.set_format(3);
  ASSERT_EQ(step.size(), 1u);
  EXPECT_EQ(step[0].table, Table::kMeta);
  EXPECT_EQ(step[0].key, kMetaKey);
  EXPECT_EQ(step[0].value, SerializeRecord(meta));
  store.Put(step);
  EXPECT_THAT(NextMigration(store.migrated()).value(), IsEmpty());
}

// Cut short before its write it is the same again; after it, nothing is left to do (above).
TEST(MigrationTest, TheSameStoreGivesTheSameAndAnotherAnother) {
  const auto fingerprint = [](OldStore store) {
    store.Put(NextMigration(store.view()).value());
    return *FingerprintAt(store.migrated(), 1).value();
  };
  EXPECT_EQ(fingerprint(OldStore()), fingerprint(OldStore()));
  EXPECT_NE(fingerprint(OldStore()), fingerprint(OldStore("another audit log")));
  EXPECT_NE(StoreIdOf(OldStore().Meta()), StoreIdOf(OldStore("audit", 43).Meta()));
}

TEST(MigrationTest, AFormatThatThereNeverWasIsRefused) {
  for (const uint32_t format : {0u, kStoreFormat + 1}) {
    OldStore store;
    MetaRecord meta = store.Meta();
    meta.set_format(format);
    store.Put({Mutation{Table::kMeta, kMetaKey, SerializeRecord(meta)}});
    EXPECT_EQ(NextMigration(store.migrated()).status().code(), absl::StatusCode::kDataLoss);
  }
}

}  // namespace
}  // namespace tollgate::storage
