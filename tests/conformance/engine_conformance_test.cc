// The contract of storage/engine.h, sentence by sentence, against every engine.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "base/random.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/engine.h"
#include "storage/engines.h"
#include "storage/journal/journaled_engine.h"
#include "storage/journal/marked_engine.h"
#include "storage/memory/memory_engine.h"
#include "storage/rocksdb/rocksdb_engine.h"
#include "storage/schema.h"
#include "tests/instruments/fault_engine.h"

namespace tollgate::conformance {
namespace {

using store::v1::HeadRecord;
using store::v1::MetaRecord;
using store::v1::UseRecord;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// An engine under test, with what it can do beyond the least.
class Harness {
 public:
  virtual ~Harness() = default;
  virtual storage::Engine& engine() = 0;
  // Whether it keeps files: Checkpoint and Reopen work.
  virtual bool has_files() const { return false; }
  // Closes and opens it again.
  virtual void Reopen() {}
  // Lets the engine do its housekeeping at once, all of it.
  virtual void Compact() {}
  virtual std::unique_ptr<storage::Engine> OpenAt(const std::string& path) { return nullptr; }
};

class MemoryHarness : public Harness {
 public:
  MemoryHarness() : engine_(storage::MemoryEngine::Open().value()) {}
  storage::Engine& engine() override { return *engine_; }

 private:
  std::unique_ptr<storage::MemoryEngine> engine_;
};

class FaultHarness : public Harness {
 public:
  FaultHarness()
      : engine_(std::make_unique<instruments::FaultEngine>(storage::MemoryEngine::Open().value())) {
  }
  storage::Engine& engine() override { return *engine_; }

 private:
  std::unique_ptr<instruments::FaultEngine> engine_;
};

class JournaledHarness : public Harness {
 public:
  explicit JournaledHarness(const std::string& folder)
      : inner_(storage::MemoryEngine::Open().value()),
        engine_(storage::JournaledEngine::Open(inner_.get(), folder + "/journal").value()) {}
  storage::Engine& engine() override { return *engine_; }

 private:
  const std::unique_ptr<storage::MemoryEngine> inner_;
  const std::unique_ptr<storage::JournaledEngine> engine_;
};

class MarkedHarness : public Harness {
 public:
  explicit MarkedHarness(const std::string& folder)
      : inner_(storage::MemoryEngine::Open().value()),
        engine_(storage::MarkedEngine::Open(inner_.get(), {folder + "/mark", nullptr}).value()) {}
  storage::Engine& engine() override { return *engine_; }

 private:
  const std::unique_ptr<storage::MemoryEngine> inner_;
  const std::unique_ptr<storage::MarkedEngine> engine_;
};

class RocksDbHarness : public Harness {
 public:
  explicit RocksDbHarness(std::string folder) : path_(folder + "/store") { Reopen(); }
  storage::Engine& engine() override { return *engine_; }
  bool has_files() const override { return true; }
  void Reopen() override {
    engine_.reset();
    engine_ = Open(path_);
  }
  void Compact() override { ASSERT_TRUE(engine_->CompactAll().ok()); }
  std::unique_ptr<storage::Engine> OpenAt(const std::string& path) override { return Open(path); }

 private:
  static std::unique_ptr<storage::RocksDbEngine> Open(const std::string& path) {
    storage::RocksDbEngine::Options options;
    options.path = path;
    options.random = &base::SystemRandom();
    options.clock = &base::SystemClock();
    return storage::RocksDbEngine::Open(options).value();
  }
  const std::string path_;
  std::unique_ptr<storage::RocksDbEngine> engine_;
};

std::string NewFolder() {
  std::string folder = ::testing::TempDir() + "tollgate-conformance-XXXXXX";
  return ::mkdtemp(folder.data());
}

struct EngineKind {
  const char* name;
  std::function<std::unique_ptr<Harness>(const std::string& folder)> make;
};

class EngineTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  EngineTest() : folder_(NewFolder()), harness_(GetParam().make(folder_)) {}
  ~EngineTest() override {
    harness_.reset();
    std::filesystem::remove_all(folder_);
  }

  storage::Engine& engine() { return harness_->engine(); }

  int64_t Head() { return engine().NewSnapshot().value()->revision(); }

  static storage::CommitRequest Request(int64_t expected_head,
                                        std::vector<storage::Mutation> mutations, int events = 0,
                                        int64_t compacted = 0) {
    storage::CommitRequest request;
    request.expected_head = expected_head;
    request.mutations = std::move(mutations);
    HeadRecord head;
    head.set_revision(expected_head + 1);
    head.set_compacted_revision(compacted);
    request.mutations.push_back(
        storage::Mutation{storage::Table::kMeta, storage::kHeadKey, head.SerializeAsString()});
    if (events > 0) request.events.mutable_events()->set_revision(expected_head + 1);
    for (int i = 0; i < events; ++i) {
      v1::Event* event = request.events.mutable_events()->add_events();
      event->mutable_token_changed()->set_token_id(absl::StrCat("t", i));
      event->set_index(i);
    }
    return request;
  }
  // Commits on the head; expects that it is written.
  void Commit(std::vector<storage::Mutation> mutations, int events = 0, int64_t compacted = 0) {
    const int64_t head = Head();
    const absl::StatusOr<storage::CommitResult> result =
        engine().Commit(Request(head, std::move(mutations), events, compacted));
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_TRUE(result->committed);
    ASSERT_EQ(result->head, head + 1);
  }
  absl::optional<std::string> Get(storage::Table table, absl::string_view key) {
    return engine().NewSnapshot().value()->Get(table, key).value();
  }
  static std::vector<std::string> Keys(const storage::View& view, storage::Table table,
                                       absl::string_view begin, absl::string_view end,
                                       size_t limit) {
    std::vector<std::string> keys;
    const std::vector<storage::Entry> entries = view.Scan(table, begin, end, limit).value();
    for (const storage::Entry& entry : entries) keys.push_back(entry.key);
    return keys;
  }
  UseRecord Use(absl::string_view key) {
    UseRecord record;
    const absl::optional<std::string> value = Get(storage::Table::kUse, key);
    EXPECT_TRUE(value.has_value() && record.ParseFromString(*value)) << key;
    return record;
  }
  static UseRecord MakeUse(int64_t last_used_us, int64_t count, int64_t day) {
    UseRecord use;
    use.set_last_used_us(last_used_us);
    use.set_count(count);
    use.set_day(day);
    use.set_count_today(count);
    return use;
  }

  const std::string folder_;
  std::unique_ptr<Harness> harness_;
};

storage::Mutation Put(storage::Table table, std::string key, std::string value) {
  return storage::Mutation{table, std::move(key), std::move(value)};
}
storage::Mutation Delete(storage::Table table, std::string key) {
  return storage::Mutation{table, std::move(key), absl::nullopt};
}

TEST_P(EngineTest, NewStoreHasMetaAndHeadZero) {
  const std::unique_ptr<storage::Snapshot> snapshot = engine().NewSnapshot().value();
  EXPECT_EQ(snapshot->revision(), 0);
  const auto meta =
      storage::GetRecord<MetaRecord>(*snapshot, storage::Table::kMeta, storage::kMetaKey).value();
  ASSERT_TRUE(meta.has_value());
  EXPECT_EQ(meta->format(), storage::kStoreFormat);
  EXPECT_EQ(meta->epoch().size(), 32u);
  EXPECT_EQ(meta->store_id().size(), 32u);
  EXPECT_FALSE(meta->restored());
  const auto head =
      storage::GetRecord<HeadRecord>(*snapshot, storage::Table::kMeta, storage::kHeadKey).value();
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->revision(), 0);
}

TEST_P(EngineTest, CommitWritesAllTables) {
  std::vector<storage::Mutation> mutations;
  for (int i = 1; i < storage::kTableCount; ++i) {
    mutations.push_back(Put(static_cast<storage::Table>(i), "k", absl::StrCat("v", i)));
  }
  Commit(mutations);
  for (int i = 1; i < storage::kTableCount; ++i) {
    EXPECT_EQ(Get(static_cast<storage::Table>(i), "k"), absl::StrCat("v", i));
  }
  EXPECT_EQ(Head(), 1);
}

TEST_P(EngineTest, GetTellsAbsentFromEmpty) {
  Commit({Put(storage::Table::kLabels, "empty", "")});
  EXPECT_EQ(Get(storage::Table::kLabels, "empty"), "");
  EXPECT_EQ(Get(storage::Table::kLabels, "absent"), absl::nullopt);
  EXPECT_EQ(Get(storage::Table::kTokens, "empty"), absl::nullopt) << "tables are apart";
}

TEST_P(EngineTest, DeleteRemovesAndAbsentIsNoError) {
  Commit({Put(storage::Table::kTokens, "a", "1")});
  Commit({Delete(storage::Table::kTokens, "a"), Delete(storage::Table::kTokens, "never there")});
  EXPECT_EQ(Get(storage::Table::kTokens, "a"), absl::nullopt);
  EXPECT_THAT(Keys(*engine().NewSnapshot().value(), storage::Table::kTokens, "", "", 10),
              IsEmpty());
  Commit({Put(storage::Table::kTokens, "a", "2")});
  EXPECT_EQ(Get(storage::Table::kTokens, "a"), "2");
}

TEST_P(EngineTest, LostRaceIsAValueAndWritesNothing) {
  Commit({Put(storage::Table::kTokens, "a", "1")});
  for (const int64_t wrong : {0, 2, 7}) {
    const absl::StatusOr<storage::CommitResult> result = engine().Commit(Request(
        wrong, {Put(storage::Table::kTokens, "a", "x"), Put(storage::Table::kDigests, "b", "x")},
        1));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_FALSE(result->committed);
    EXPECT_EQ(result->head, 1);
  }
  EXPECT_EQ(Get(storage::Table::kTokens, "a"), "1");
  EXPECT_EQ(Get(storage::Table::kDigests, "b"), absl::nullopt);
  EXPECT_THAT(Keys(*engine().NewSnapshot().value(), storage::Table::kEvents, "", "", 10),
              IsEmpty());
  EXPECT_EQ(Head(), 1);
}

TEST_P(EngineTest, ContradictingRequestIsRefusedAndWritesNothing) {
  storage::CommitRequest no_head;
  no_head.mutations = {Put(storage::Table::kTokens, "a", "1")};
  storage::CommitRequest wrong_head = Request(4, {Put(storage::Table::kTokens, "a", "1")});
  wrong_head.expected_head = 0;
  storage::CommitRequest deleted_head = no_head;
  deleted_head.mutations.push_back(Delete(storage::Table::kMeta, storage::kHeadKey));
  storage::CommitRequest wrong_events = Request(0, {Put(storage::Table::kTokens, "a", "1")}, 1);
  wrong_events.events.mutable_events()->set_revision(9);
  for (const storage::CommitRequest& request : {no_head, wrong_head, deleted_head, wrong_events}) {
    EXPECT_EQ(engine().Commit(request).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(Get(storage::Table::kTokens, "a"), absl::nullopt);
  Commit({Put(storage::Table::kTokens, "a", "2")});  // a refusal does not spoil what comes after
  EXPECT_EQ(Head(), 1);
}

TEST_P(EngineTest, OneWinnerAmongRacingCommits) {
  constexpr int kThreads = 4;
  constexpr int kEach = 20;
  std::atomic<int> won = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach;) {
        const absl::StatusOr<storage::CommitResult> result = engine().Commit(
            Request(Head(), {Put(storage::Table::kTokens, absl::StrCat(t, "-", i), "x")}));
        ASSERT_TRUE(result.ok()) << result.status();
        if (!result->committed) continue;
        ++won;
        ++i;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(won, kThreads * kEach);
  EXPECT_EQ(Head(), kThreads * kEach) << "one revision a commit, no gap";
  EXPECT_EQ(Keys(*engine().NewSnapshot().value(), storage::Table::kTokens, "", "", 1000).size(),
            static_cast<size_t>(kThreads * kEach));
}

TEST_P(EngineTest, ScanIsOrderedBoundedAndLimited) {
  const std::string zero("a\0b", 3);
  const std::string high("\xff\xff", 2);
  Commit({Put(storage::Table::kTokens, "b", "2"), Put(storage::Table::kTokens, zero, "1"),
          Put(storage::Table::kTokens, "a", "0"), Put(storage::Table::kTokens, high, "4"),
          Put(storage::Table::kTokens, "c", "3"), Put(storage::Table::kDigests, "bb", "x")});
  const std::unique_ptr<storage::Snapshot> snapshot = engine().NewSnapshot().value();
  EXPECT_THAT(Keys(*snapshot, storage::Table::kTokens, "", "", 10),
              ElementsAre("a", zero, "b", "c", high));
  EXPECT_THAT(Keys(*snapshot, storage::Table::kTokens, "a", "c", 10), ElementsAre("a", zero, "b"));
  EXPECT_THAT(Keys(*snapshot, storage::Table::kTokens, "b", "", 10), ElementsAre("b", "c", high));
  EXPECT_THAT(Keys(*snapshot, storage::Table::kTokens, storage::KeyAfter("a"), "", 2),
              ElementsAre(zero, "b"));
  EXPECT_THAT(Keys(*snapshot, storage::Table::kTokens, "", "", 0), IsEmpty());
  EXPECT_THAT(Keys(*snapshot, storage::Table::kTokens, "c", "b", 10), IsEmpty());
  EXPECT_THAT(Keys(*snapshot, storage::Table::kTokens, "b", "b", 10), IsEmpty());
  EXPECT_THAT(Keys(*snapshot, storage::Table::kTokens, "", "", SIZE_MAX).size(), 5u);
  EXPECT_EQ(snapshot->Scan(storage::Table::kTokens, "c", "", 1).value()[0].value, "3");
}

TEST_P(EngineTest, ScanBackIsTheSameFromTheEnd) {
  const std::string zero("a\0b", 3);
  const std::string high("\xff\xff", 2);
  Commit({Put(storage::Table::kTokens, "b", "2"), Put(storage::Table::kTokens, zero, "1"),
          Put(storage::Table::kTokens, "a", "0"), Put(storage::Table::kTokens, high, "4"),
          Put(storage::Table::kTokens, "c", "3"), Put(storage::Table::kTokens, "d", "gone"),
          Put(storage::Table::kDigests, "bb", "x")});
  Commit({Delete(storage::Table::kTokens, "d")});
  const std::unique_ptr<storage::Snapshot> snapshot = engine().NewSnapshot().value();
  Commit({Put(storage::Table::kTokens, "e", "later")});
  const auto back = [&](absl::string_view begin, absl::string_view end, size_t limit) {
    std::vector<std::string> keys;
    const auto entries = snapshot->ScanBack(storage::Table::kTokens, begin, end, limit).value();
    for (const storage::Entry& entry : entries) {
      keys.push_back(entry.key);
    }
    return keys;
  };
  EXPECT_THAT(back("", "", 10), ElementsAre(high, "c", "b", zero, "a"));
  EXPECT_THAT(back("a", "c", 10), ElementsAre("b", zero, "a"));
  EXPECT_THAT(back("b", "", 10), ElementsAre(high, "c", "b"));
  EXPECT_THAT(back(zero, "", 2), ElementsAre(high, "c"));
  EXPECT_THAT(back("", "b", 1), ElementsAre(zero));
  EXPECT_THAT(back("", "", 0), IsEmpty());
  EXPECT_THAT(back("c", "b", 10), IsEmpty());
  EXPECT_THAT(back("b", "b", 10), IsEmpty());
  EXPECT_THAT(back("", "a", 10), IsEmpty());
  EXPECT_THAT(back("", "", SIZE_MAX).size(), 5u);
  EXPECT_EQ(snapshot->ScanBack(storage::Table::kTokens, "", "c", 1).value()[0].value, "2");
}

TEST_P(EngineTest, SnapshotDoesNotSeeLaterWrites) {
  Commit({Put(storage::Table::kTokens, "a", "1"), Put(storage::Table::kTokens, "b", "1")});
  ASSERT_TRUE(engine().MergeUse({{"u", MakeUse(10, 1, 1)}}).ok());
  const std::unique_ptr<storage::Snapshot> before = engine().NewSnapshot().value();
  Commit({Put(storage::Table::kTokens, "a", "2"), Delete(storage::Table::kTokens, "b"),
          Put(storage::Table::kTokens, "c", "2")},
         1);
  Commit({Put(storage::Table::kTokens, "a", "3")});
  ASSERT_TRUE(engine().MergeUse({{"u", MakeUse(20, 1, 1)}}).ok());
  harness_->Compact();

  EXPECT_EQ(before->revision(), 1);
  EXPECT_EQ(before->Get(storage::Table::kTokens, "a").value(), "1");
  EXPECT_THAT(Keys(*before, storage::Table::kTokens, "", "", 10), ElementsAre("a", "b"));
  EXPECT_THAT(Keys(*before, storage::Table::kEvents, "", "", 10), IsEmpty());
  EXPECT_EQ(storage::GetRecord<HeadRecord>(*before, storage::Table::kMeta, storage::kHeadKey)
                .value()
                ->revision(),
            1);
  EXPECT_EQ(storage::GetRecord<UseRecord>(*before, storage::Table::kUse, "u").value()->count(), 1);
  EXPECT_THAT(Keys(*engine().NewSnapshot().value(), storage::Table::kTokens, "", "", 10),
              ElementsAre("a", "c"));
}

TEST_P(EngineTest, SnapshotNeverShowsHalfACommit) {
  // Both keys always carry the revision; so must every snapshot.
  Commit({Put(storage::Table::kTokens, "x", "1"), Put(storage::Table::kDigests, "y", "1")});
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int i = 2; i < 200; ++i) {
      Commit({Put(storage::Table::kTokens, "x", absl::StrCat(i)),
              Put(storage::Table::kDigests, "y", absl::StrCat(i))});
    }
    stop = true;
  });
  while (!stop) {
    const std::unique_ptr<storage::Snapshot> snapshot = engine().NewSnapshot().value();
    const std::string expected = absl::StrCat(snapshot->revision());
    EXPECT_EQ(snapshot->Get(storage::Table::kTokens, "x").value(), expected);
    EXPECT_EQ(snapshot->Get(storage::Table::kDigests, "y").value(), expected);
  }
  writer.join();
}

TEST_P(EngineTest, EventsAreAlsoStored) {
  Commit({Put(storage::Table::kTokens, "a", "1")}, 2);
  Commit({Put(storage::Table::kTokens, "a", "2")}, 0);
  const std::unique_ptr<storage::Snapshot> snapshot = engine().NewSnapshot().value();
  EXPECT_THAT(Keys(*snapshot, storage::Table::kEvents, "", "", 10),
              ElementsAre(storage::RevisionKey(1)));
  const auto record = storage::GetRecord<store::v1::EventsRecord>(
                          *snapshot, storage::Table::kEvents, storage::RevisionKey(1))
                          .value();
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->events().revision(), 1);
  EXPECT_EQ(record->events().events_size(), 2);
}

// What a tail told: "revision:events".
class Heard {
 public:
  std::function<void(const storage::TailEntry&)> Listener() {
    return [this](const storage::TailEntry& entry) {
      absl::MutexLock lock(&mu_);
      heard_.push_back(absl::StrCat(entry.revision, ":", entry.events.events_size()));
    };
  }
  std::vector<std::string> all() {
    absl::MutexLock lock(&mu_);
    return heard_;
  }

 private:
  absl::Mutex mu_;
  std::vector<std::string> heard_;
};

TEST_P(EngineTest, TailCatchesUpThenGoesOnLive) {
  Commit({}, 1);
  Commit({}, 0);
  Commit({}, 2);
  Commit({}, 0);
  Heard from_start, from_middle, from_head;
  const auto a = engine().TailFrom(0, from_start.Listener());
  const auto b = engine().TailFrom(2, from_middle.Listener());
  const auto c = engine().TailFrom(4, from_head.Listener());
  ASSERT_TRUE(a.ok() && b.ok() && c.ok());
  EXPECT_THAT(from_start.all(), ElementsAre("1:1", "2:0", "3:2", "4:0"));
  Commit({}, 3);
  Commit({}, 0);
  EXPECT_THAT(from_start.all(), ElementsAre("1:1", "2:0", "3:2", "4:0", "5:3", "6:0"));
  EXPECT_THAT(from_middle.all(), ElementsAre("3:2", "4:0", "5:3", "6:0"));
  EXPECT_THAT(from_head.all(), ElementsAre("5:3", "6:0"));
}

TEST_P(EngineTest, TailTellsTheFingerprintsThatAreKept) {
  const int revisions = 600;  // more than are read at a time
  const auto commit = [this](int revision, bool kept) {
    storage::CommitRequest request = Request(revision - 1, {}, revision % 2);
    HeadRecord head;
    head.set_revision(revision);
    head.set_fingerprint(absl::StrCat("print of ", revision));
    request.mutations[0].value = head.SerializeAsString();
    store::v1::FingerprintRecord row;
    row.set_fingerprint(head.fingerprint());
    if (kept) {
      request.mutations.push_back(storage::Mutation{
          storage::Table::kFingerprints, storage::RevisionKey(revision), row.SerializeAsString()});
    }
    ASSERT_TRUE(engine().Commit(request)->committed);
  };
  for (int i = 1; i <= revisions; ++i) commit(i, /*kept=*/i > 10);
  std::vector<std::string> told;
  const auto tail = engine().TailFrom(
      0, [&](const storage::TailEntry& entry) { told.push_back(entry.fingerprint); });
  ASSERT_TRUE(tail.ok()) << tail.status();
  commit(revisions + 1, /*kept=*/true);
  ASSERT_EQ(told.size(), static_cast<size_t>(revisions + 1));
  for (int i = 1; i <= revisions + 1; ++i) {
    EXPECT_EQ(told[i - 1], i > 10 ? absl::StrCat("print of ", i) : "") << i;
  }
}

TEST_P(EngineTest, TailEndsWithItsHandle) {
  Heard heard;
  auto tail = engine().TailFrom(0, heard.Listener());
  ASSERT_TRUE(tail.ok());
  Commit({}, 1);
  tail->reset();
  Commit({}, 1);
  EXPECT_THAT(heard.all(), ElementsAre("1:1"));
}

TEST_P(EngineTest, TailsEndWaitsForACallUnderWay) {
  absl::Notification entered, leave;
  std::atomic<bool> left = false;
  auto tail = engine().TailFrom(0, [&](const storage::TailEntry&) {
    entered.Notify();
    leave.WaitForNotification();
    left = true;
  });
  ASSERT_TRUE(tail.ok());
  std::thread writer([&] { Commit({}, 1); });
  entered.WaitForNotification();
  std::thread ender([&] {
    tail->reset();
    EXPECT_TRUE(left) << "the handle went while its callback was running";
  });
  leave.Notify();
  ender.join();
  writer.join();
}

TEST_P(EngineTest, TailOfTheFutureIsOutOfRange) {
  Commit({}, 1);
  Heard heard;
  EXPECT_EQ(engine().TailFrom(2, heard.Listener()).status().code(), absl::StatusCode::kOutOfRange);
  Commit({}, 1);
  EXPECT_THAT(heard.all(), IsEmpty());
}

TEST_P(EngineTest, TailOfTheCompactedIsOutOfRange) {
  Commit({}, 1);
  Commit({}, 1);
  Commit({Delete(storage::Table::kEvents, storage::RevisionKey(1)),
          Delete(storage::Table::kEvents, storage::RevisionKey(2))},
         1, 2);
  Heard heard;
  EXPECT_EQ(engine().TailFrom(0, heard.Listener()).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(engine().TailFrom(1, heard.Listener()).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(heard.all(), IsEmpty());
  const auto tail = engine().TailFrom(2, heard.Listener());
  ASSERT_TRUE(tail.ok()) << tail.status();
  EXPECT_THAT(heard.all(), ElementsAre("3:1"));
}

TEST_P(EngineTest, TailHasNoGapUnderLoad) {
  constexpr int kCommits = 300;
  std::thread writer([&] {
    for (int i = 0; i < kCommits; ++i) Commit({}, i % 3 == 0 ? 1 : 0);
  });
  std::vector<std::unique_ptr<Heard>> heard;
  std::vector<std::unique_ptr<storage::Tail>> tails;
  for (int i = 0; i < 10; ++i) {
    heard.push_back(std::make_unique<Heard>());
    tails.push_back(engine().TailFrom(0, heard.back()->Listener()).value());
    std::this_thread::yield();
  }
  writer.join();
  std::vector<std::string> expected;
  for (int i = 0; i < kCommits; ++i) expected.push_back(absl::StrCat(i + 1, i % 3 ? ":0" : ":1"));
  for (const auto& one : heard) EXPECT_EQ(one->all(), expected);
}

TEST_P(EngineTest, TailCatchesUpOverManyRevisions) {
  // More than one chunk of a reader's, with eventless stretches at its edges.
  for (int i = 0; i < 1200; ++i) Commit({}, i % 2);
  Heard heard;
  const auto tail = engine().TailFrom(3, heard.Listener());
  ASSERT_TRUE(tail.ok());
  const std::vector<std::string> all = heard.all();
  ASSERT_EQ(all.size(), 1197u);
  EXPECT_EQ(all.front(), "4:1");
  EXPECT_EQ(all.back(), "1200:1");
}

TEST_P(EngineTest, MergeUseMergesAndTakesNoRevision) {
  Commit({Put(storage::Table::kTokens, "t", "1")});
  Heard heard;
  const auto tail = engine().TailFrom(1, heard.Listener());
  ASSERT_TRUE(engine().MergeUse({{"t", MakeUse(100, 5, 7)}, {"v", MakeUse(1, 1, 1)}}).ok());
  ASSERT_TRUE(engine().MergeUse({{"t", MakeUse(50, 2, 7)}}).ok());
  ASSERT_TRUE(engine().MergeUse({{"t", MakeUse(200, 1, 8)}, {"t", MakeUse(10, 1, 6)}}).ok());
  harness_->Compact();
  EXPECT_EQ(Use("t").last_used_us(), 200);
  EXPECT_EQ(Use("t").count(), 9);
  EXPECT_EQ(Use("t").day(), 8);
  EXPECT_EQ(Use("t").count_today(), 1);
  EXPECT_EQ(Use("v").count(), 1);

  EXPECT_EQ(Head(), 1);
  EXPECT_THAT(heard.all(), IsEmpty());
  EXPECT_EQ(Get(storage::Table::kTokens, "t"), "1") << "the same key in another table is untouched";
  const std::unique_ptr<storage::Snapshot> snapshot = engine().NewSnapshot().value();
  for (int i = 0; i < storage::kTableCount; ++i) {
    const storage::Table table = static_cast<storage::Table>(i);
    if (table == storage::Table::kMeta || table == storage::Table::kTokens ||
        table == storage::Table::kUse)
      continue;
    EXPECT_THAT(Keys(*snapshot, table, "", "", 10), IsEmpty()) << storage::TableName(table);
  }
}

TEST_P(EngineTest, MergeUseStartsAfreshAfterADeletion) {
  ASSERT_TRUE(engine().MergeUse({{"u", MakeUse(100, 5, 7)}}).ok());
  Commit({Delete(storage::Table::kUse, "u")});
  EXPECT_EQ(Get(storage::Table::kUse, "u"), absl::nullopt);
  ASSERT_TRUE(engine().MergeUse({{"u", MakeUse(50, 2, 3)}}).ok());
  EXPECT_EQ(Use("u").count(), 2);
  EXPECT_EQ(Use("u").last_used_us(), 50);
}

TEST_P(EngineTest, MergeUseGoesOnBesideCommits) {
  std::thread user([&] {
    for (int i = 0; i < 200; ++i) EXPECT_TRUE(engine().MergeUse({{"u", MakeUse(i, 1, 1)}}).ok());
  });
  for (int i = 0; i < 50; ++i) Commit({Put(storage::Table::kTokens, "t", absl::StrCat(i))});
  user.join();
  EXPECT_EQ(Use("u").count(), 200);
  EXPECT_EQ(Head(), 50);
}

TEST_P(EngineTest, MergeUseNeverOverflows) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  ASSERT_TRUE(engine().MergeUse({{"u", MakeUse(1, most - 1, 1)}}).ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(engine().MergeUse({{"u", MakeUse(2, most, 1)}}).ok());
  harness_->Compact();
  EXPECT_EQ(Use("u").count(), most);
  // What overflowed once counts as nothing.
  ASSERT_TRUE(engine().MergeUse({{"v", MakeUse(1, -7, 1)}, {"v", MakeUse(2, 5, 1)}}).ok());
  harness_->Compact();
  EXPECT_EQ(Use("v").count(), 5);
}

TEST_P(EngineTest, FoldUseIsOneStepAndTakesNoRevision) {
  ASSERT_TRUE(engine().MergeUse({{"a", MakeUse(100, 5, 7)}, {"b", MakeUse(50, 2, 7)}}).ok());
  ASSERT_TRUE(engine().MergeUse({{"sum", MakeUse(10, 1, 6)}}).ok());
  const std::unique_ptr<storage::Snapshot> before = engine().NewSnapshot().value();
  ASSERT_TRUE(engine().FoldUse({"a", "b", "absent"}, {{"sum", MakeUse(100, 7, 7)}}).ok());
  EXPECT_THAT(Keys(*before, storage::Table::kUse, "", "", 10), ElementsAre("a", "b", "sum"));
  const auto check = [&] {
    const std::unique_ptr<storage::Snapshot> after = engine().NewSnapshot().value();
    EXPECT_THAT(Keys(*after, storage::Table::kUse, "", "", 10), ElementsAre("sum"));
    EXPECT_EQ(Use("sum").count(), 8);
    EXPECT_EQ(Use("sum").last_used_us(), 100);
  };
  check();
  harness_->Compact();
  check();
  // A removed key begins anew.
  ASSERT_TRUE(engine().MergeUse({{"a", MakeUse(110, 1, 7)}}).ok());
  EXPECT_EQ(Use("a").count(), 1);
  EXPECT_EQ(Head(), 0);
}

TEST_P(EngineTest, FoldUseMayPutAnotherRowInAKeysPlace) {
  ASSERT_TRUE(engine().MergeUse({{"a", MakeUse(100, 5, 7)}}).ok());
  ASSERT_TRUE(engine().FoldUse({"a"}, {{"a", MakeUse(50, 2, 6)}, {"a", MakeUse(60, 1, 6)}}).ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Use("a").last_used_us(), 60);
    EXPECT_EQ(Use("a").count(), 3);
    harness_->Compact();
  }
}

// Whichever deltas an engine merges first, the addresses that were seen latest stay.
TEST_P(EngineTest, OfAddressesTheLatestStayInWhateverGroupsTheyAreMerged) {
  const auto seen = [](int from, int64_t at) {
    UseRecord use;
    auto* refused = use.add_refused();
    refused->set_reason(4);
    refused->set_count(1);
    refused->set_first_us(at);
    refused->set_last_us(at);
    auto* address = refused->add_addresses();
    address->set_address(absl::StrCat("192.0.2.", from));
    address->set_count(1);
    address->set_last_us(at);
    return use;
  };
  // The same attempts in three orders, of which two are compacted in between.
  std::vector<std::pair<int, int64_t>> attempts;
  for (int i = 0; i < 20; ++i) attempts.emplace_back(i % 13, 1000 + (i * 37) % 101);
  for (const std::string key : {"forth", "back", "grouped"}) {
    if (key == "back") std::reverse(attempts.begin(), attempts.end());
    if (key == "grouped") std::rotate(attempts.begin(), attempts.begin() + 7, attempts.end());
    for (size_t i = 0; i < attempts.size(); ++i) {
      const auto [from, at] = attempts[i];
      ASSERT_TRUE(engine().MergeUse({{key, seen(from, at)}}).ok());
      if (key != "forth" && i % 6 == 5) harness_->Compact();
    }
  }
  harness_->Compact();
  const auto told = [this](const std::string& key) {
    std::vector<std::pair<std::string, int64_t>> all;
    const UseRecord use = Use(key);
    for (const auto& one : use.refused(0).addresses()) {
      all.emplace_back(one.address(), one.last_us());
    }
    return all;
  };
  ASSERT_EQ(told("forth").size(), 8u);
  EXPECT_GE(told("forth").front().second, told("forth").back().second);
  EXPECT_EQ(told("forth"), told("back"));
  EXPECT_EQ(told("forth"), told("grouped"));
  EXPECT_EQ(Use("forth").refused(0).count(), 20);
}

TEST_P(EngineTest, ReopenedStoreIsTheSame) {
  if (!harness_->has_files()) GTEST_SKIP() << "keeps no files";
  Commit({Put(storage::Table::kTokens, "a", "1")}, 1);
  Commit({Put(storage::Table::kTokens, "b", "2")});
  ASSERT_TRUE(engine().MergeUse({{"u", MakeUse(100, 5, 7)}}).ok());
  ASSERT_TRUE(engine().MergeUse({{"u", MakeUse(90, 1, 7)}}).ok());
  const auto meta = Get(storage::Table::kMeta, storage::kMetaKey);
  harness_->Reopen();
  EXPECT_EQ(Head(), 2);
  EXPECT_EQ(Get(storage::Table::kMeta, storage::kMetaKey), meta) << "the epoch stays";
  EXPECT_EQ(Get(storage::Table::kTokens, "a"), "1");
  EXPECT_EQ(Use("u").count(), 6);
  ASSERT_TRUE(engine().MergeUse({{"u", MakeUse(110, 1, 8)}}).ok());
  harness_->Compact();
  harness_->Reopen();
  EXPECT_EQ(Use("u").count(), 7);
  EXPECT_EQ(Use("u").last_used_us(), 110);
  EXPECT_EQ(Use("u").count_today(), 1);
  Heard heard;
  const auto tail = engine().TailFrom(0, heard.Listener());
  ASSERT_TRUE(tail.ok());
  Commit({}, 1);
  EXPECT_THAT(heard.all(), ElementsAre("1:1", "2:0", "3:1"));
}

TEST_P(EngineTest, CheckpointIsAStoreOfItsOwn) {
  const std::string path = folder_ + "/copy";
  if (!harness_->has_files()) {
    EXPECT_EQ(engine().Checkpoint(path).code(), absl::StatusCode::kUnimplemented);
    return;
  }
  Commit({Put(storage::Table::kTokens, "a", "1")}, 1);
  ASSERT_TRUE(engine().MergeUse({{"u", MakeUse(100, 5, 7)}}).ok());
  ASSERT_TRUE(engine().Checkpoint(path).ok());
  EXPECT_EQ(engine().Checkpoint(path).code(), absl::StatusCode::kAlreadyExists);
  Commit({Put(storage::Table::kTokens, "a", "2")}, 1);

  const std::unique_ptr<storage::Engine> copy = harness_->OpenAt(path);
  const std::unique_ptr<storage::Snapshot> snapshot = copy->NewSnapshot().value();
  EXPECT_EQ(snapshot->revision(), 1);
  EXPECT_EQ(snapshot->Get(storage::Table::kTokens, "a").value(), "1");
  EXPECT_EQ(storage::GetRecord<UseRecord>(*snapshot, storage::Table::kUse, "u").value()->count(),
            5);
  EXPECT_EQ(Get(storage::Table::kTokens, "a"), "2");
}

INSTANTIATE_TEST_SUITE_P(
    Engines, EngineTest,
    ::testing::Values(
        EngineKind{"Memory", [](const std::string&) { return std::make_unique<MemoryHarness>(); }},
        EngineKind{
            "RocksDb",
            [](const std::string& folder) { return std::make_unique<RocksDbHarness>(folder); }},
        EngineKind{
            "Journaled",
            [](const std::string& folder) { return std::make_unique<JournaledHarness>(folder); }},
        EngineKind{
            "Marked",
            [](const std::string& folder) { return std::make_unique<MarkedHarness>(folder); }},
        EngineKind{"FaultlessFaults",
                   [](const std::string&) { return std::make_unique<FaultHarness>(); }}),
    [](const ::testing::TestParamInfo<EngineKind>& info) { return info.param.name; });

// Whoever adds an engine adds it here.
TEST(EngineKinds, EveryEngineOfTheBuildIsHeldToTheContract) {
  EXPECT_THAT(storage::Engines().schemes(), ::testing::UnorderedElementsAre("memory", "rocksdb"));
}

}  // namespace
}  // namespace tollgate::conformance
