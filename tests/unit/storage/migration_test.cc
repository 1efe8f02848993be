#include "storage/migration.h"

#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/live_count.h"
#include "storage/memory/memory_engine.h"
#include "storage/overlay_view.h"
#include "storage/schema.h"
#include "storage/sequencer.h"
#include "test_commands.h"
#include "tests/instruments/live_scan.h"

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
           Mutation{Table::kLabels, LabelKey("acme", "a", "id"), "1"}});
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

// Brings the store to this format, part by part, each of at most `most` mutations; how many parts.
size_t MigrateAll(size_t most, OverlayView* store) {
  size_t parts = 0;
  for (auto part = NextMigration(*store).value(); !part.empty();
       part = NextMigration(*store).value()) {
    EXPECT_LE(part.size(), most);
    for (Mutation& mutation : part) store->Apply(std::move(mutation));
    if (++parts > 10) {
      ADD_FAILURE() << "there is no end";
      break;
    }
  }
  return parts;
}

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
  EXPECT_EQ(store.migrated().Get(Table::kLabels, LabelKey("acme", "a", "id")).value(), "1");
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
}

// Every part is bounded, and a store of any size is counted once, whatever the parts were.
TEST(MigrationTest, Format3IsCounted) {
  OldStore store;
  MetaRecord meta = store.Meta();
  meta.set_format(3);
  std::vector<Mutation> old = {{Table::kMeta, kMetaKey, SerializeRecord(meta)},
                               {Table::kMeta, std::string("live\0acme", 9), RevisionKey(1)}};
  constexpr int kTokens = 12'003;  // no whole number of parts
  for (int i = 0; i < kTokens; ++i) {
    store::v1::TokenRecord token;
    token.set_workspace(i % 7 == 0 ? "globex" : "acme");
    token.set_token_id(absl::StrCat("t", i));
    token.set_create_revision(i % 2 == 0 ? 1 : 3);
    if (i % 3 > 0) token.set_owner(i % 3 == 1 ? "ada" : "bob");
    if (i % 5 == 0) token.mutable_ending()->set_kind(store::v1::Ending::KIND_REVOKED);
    old.push_back(
        {Table::kTokens, TokenKey(token.workspace(), token.token_id()), SerializeRecord(token)});
  }
  store::v1::CohortRecord cohort;
  cohort.set_workspace("acme");
  cohort.set_owner("ada");
  cohort.set_revision(2);
  old.push_back({Table::kCohorts, CohortKey("acme", "ada"), SerializeRecord(cohort)});
  store.Put(old);
  OverlayView now(&store.migrated());
  const size_t parts = MigrateAll(5'100u, &now);
  EXPECT_EQ(parts, 8u)
      << "and one each for the labels, the audit log, the workspaces and the bindings, of which "
         "there is little";
  EXPECT_EQ(instruments::LiveCountFaults(now), "");
  EXPECT_GT(LiveTokens(now, "acme", "ada").value(), 0);
  const std::vector<Entry> left = now.Scan(Table::kMeta, "", "", 1000).value();
  for (const Entry& entry : left) {
    EXPECT_TRUE(entry.key == kMetaKey || entry.key == kHeadKey || entry.key.rfind("count", 0) == 0)
        << entry.key;
    EXPECT_NE(entry.key, "counted");
  }
}

// Every part is bounded, whatever is cut short is gone on with, and each token has one label.
TEST(MigrationTest, Format4HasItsLabelsWhereTheyAreComparedBy) {
  OldStore store;
  MetaRecord meta = store.Meta();
  meta.set_format(4);
  std::vector<Mutation> old = {{Table::kMeta, kMetaKey, SerializeRecord(meta)}};
  constexpr int kLabels = 12'003;
  const auto label = [](int i) {
    return i % 3 == 0 ? "caf\u00e9" : i % 3 == 1 ? "cafe\u0301" : "\uff23\uff29";
  };
  for (int i = 0; i < kLabels; ++i) {
    old.push_back(
        {Table::kLabels,
         absl::StrCat("acme", std::string(1, '\0'), label(i), std::string(1, '\0'), "t", i), ""});
  }
  store.Put(old);
  OverlayView now(&store.migrated());
  const size_t parts = MigrateAll(10'100u, &now);
  EXPECT_GE(parts, 3u);
  const auto count = [&](const char* asked) {
    const KeyRange range = TokensWithLabel("acme", asked);
    return now.Scan(Table::kLabels, range.begin, range.end, 100'000).value().size();
  };
  EXPECT_EQ(count("cafe\u0301"), 8'002u);
  EXPECT_EQ(count("caf\u00e9"), 8'002u);
  EXPECT_EQ(count("CI"), 4'001u);
  EXPECT_EQ(now.Scan(Table::kLabels, "", "", 100'000).value().size(), 12'004u);  // and OldStore's
  EXPECT_FALSE(now.Get(Table::kMeta, "relabelled").value().has_value());
  EXPECT_EQ(GetRecord<MetaRecord>(now, Table::kMeta, kMetaKey).value()->format(), kStoreFormat);
}

// Every part is bounded, an entry of a token is found by it, and the log itself stays as it is.
TEST(MigrationTest, Format5KnowsWhichEntriesAreAboutAToken) {
  OldStore store;
  MetaRecord meta = store.Meta();
  meta.set_format(5);
  std::vector<Mutation> old = {{Table::kMeta, kMetaKey, SerializeRecord(meta)}};
  constexpr int kEntries = 12'003;
  const auto id = [](int i) { return absl::StrCat(std::string(15, 'T'), i % 3); };
  const auto name = [&](int i) { return absl::StrCat("workspaces/acme/tokens/", id(i)); };
  for (int i = 0; i < kEntries; ++i) {
    store::v1::AuditRecord record;
    record.set_revision(1 + i / 2);
    record.set_index(i % 2);
    record.set_workspace("acme");
    record.set_resource(i % 3 == 2 ? "workspaces/acme" : name(i));
    if (i == 6) (*record.mutable_details())["replaced_by"] = name(1);
    if (i == 7) (*record.mutable_details())["given_up"] = name(2);
    store::v1::AuditChainRecord link;
    link.set_content(SerializeRecord(record));
    old.push_back(
        {Table::kAudit, AuditKey(record.revision(), record.index()), SerializeRecord(link)});
  }
  store.Put(old);
  OverlayView now(&store.migrated());
  const auto audit = [&] { return now.Scan(Table::kAudit, "", "", 100'000).value(); };
  const std::vector<Entry> before = audit();
  const size_t parts = MigrateAll(15'100u, &now);
  EXPECT_EQ(parts, 5u);
  const auto keys = [&](int i) {
    const std::string all = AuditByTokenKey("acme", id(i), "");
    std::vector<std::string> found;
    const auto rows = now.Scan(Table::kAuditByToken, all, PrefixEnd(all), 100'000).value();
    for (const Entry& entry : rows) {
      found.push_back(AuditKeyOf(entry.key).value());
    }
    return found;
  };
  EXPECT_EQ(keys(0).size(), 4'001u);
  EXPECT_EQ(keys(0)[1], AuditKey(2, 1)) << "the fourth entry";
  EXPECT_EQ(keys(1).size(), 4'002u) << "and the one that made it";
  EXPECT_EQ(keys(1)[2], AuditKey(4, 0));
  EXPECT_THAT(keys(2), ::testing::ElementsAre(AuditKey(4, 1)));
  const std::vector<Entry> after = audit();
  ASSERT_EQ(after.size(), before.size());
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].key, before[i].key);
    EXPECT_EQ(after[i].value, before[i].value);
  }
  EXPECT_FALSE(now.Get(Table::kMeta, "indexed").value().has_value());
  EXPECT_EQ(GetRecord<MetaRecord>(now, Table::kMeta, kMetaKey).value()->format(), kStoreFormat);
}

// The sweep is sent through every workspace.
TEST(MigrationTest, Format6HasItsEndedTokensLookedAt) {
  OldStore store;
  MetaRecord meta = store.Meta();
  meta.set_format(6);
  std::vector<Mutation> old = {{Table::kMeta, kMetaKey, SerializeRecord(meta)}};
  constexpr size_t kWorkspaces = 5'003;
  for (size_t i = 0; i < kWorkspaces; ++i) {
    old.push_back({Table::kWorkspaces, absl::StrCat("w", 10'000 + i), ""});
  }
  store.Put(old);
  OverlayView now(&store.migrated());
  const size_t parts = MigrateAll(5'100u, &now);
  EXPECT_EQ(parts, 3u);
  const size_t there = now.Scan(Table::kWorkspaces, "", "", 100'000).value().size();
  const std::string first = DueKey(0, DueKind::kReachPurge, "");
  const auto reaches = now.Scan(Table::kDue, first, PrefixEnd(first), 100'000).value();
  EXPECT_EQ(reaches.size(), there);
  EXPECT_EQ(ParseTokenKey(ParseDueKey(reaches.back().key)->subject)->workspace, "w15002");
  EXPECT_FALSE(now.Get(Table::kMeta, "reached").value().has_value());
  EXPECT_EQ(GetRecord<MetaRecord>(now, Table::kMeta, kMetaKey).value()->format(), kStoreFormat);
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
