#include "storage/rocksdb/rocksdb_engine.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "rocksdb/iostats_context.h"
#include "rocksdb/perf_level.h"
#include "storage/rocksdb/log_files.h"
#include "storage/schema.h"
#include "storage/sequencer.h"
#include "test_commands.h"

namespace tollgate::storage {
namespace {

using store::v1::MetaRecord;

class RocksDbEngineTest : public ::testing::Test {
 protected:
  RocksDbEngineTest() {
    std::string folder = ::testing::TempDir() + "tollgate-rocksdb-XXXXXX";
    folder_ = ::mkdtemp(folder.data());
    path_ = folder_ + "/deep/store";
  }
  ~RocksDbEngineTest() override { std::filesystem::remove_all(folder_); }

  absl::StatusOr<std::unique_ptr<RocksDbEngine>> Open(bool create = true) {
    RocksDbEngine::Options options;
    options.path = path_;
    options.create_if_missing = create;
    options.random = &random_;
    options.clock = &clock_;
    return RocksDbEngine::Open(options);
  }
  static void Commit(Engine& engine, std::shared_ptr<Command> command) {
    const BatchOutcome outcome =
        RunBatch(*engine.NewSnapshot().value(), absl::UnixEpoch(), {command.get()}).value();
    ASSERT_TRUE(engine.Commit(outcome.request)->committed);
  }
  static MetaRecord Meta(Engine& engine) {
    return *GetRecord<MetaRecord>(*engine.NewSnapshot().value(), Table::kMeta, kMetaKey).value();
  }
  void ExpectRefused(absl::StatusCode code, absl::string_view reason, bool create = true) {
    const absl::Status status = Open(create).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_EQ(base::ReasonOf(status), reason) << status;
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(path_));
  }
  // As a program that knows this table makes it; nothing is in it.
  void AddTable(const std::string& table) {
    std::vector<std::string> names;
    ASSERT_TRUE(rocksdb::DB::ListColumnFamilies(rocksdb::DBOptions(), path_, &names).ok());
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const std::string& name : names) {
      families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    }
    families.emplace_back(table, rocksdb::ColumnFamilyOptions());
    rocksdb::DBOptions options;
    options.create_missing_column_families = true;
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(options, path_, families, &handles, &db).ok());
    for (auto* handle : handles) ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
    delete db;
  }
  // Deletes the store's files with this extension; says how many.
  int DeleteFiles(const std::string& prefix_or_extension) {
    int deleted = 0;
    for (const auto& file : std::filesystem::directory_iterator(path_)) {
      if (file.path().extension() == prefix_or_extension ||
          file.path().filename().string().rfind(prefix_or_extension, 0) == 0) {
        std::filesystem::remove(file.path());
        ++deleted;
      }
    }
    return deleted;
  }

  base::SeededRandom random_{7};
  ManualClock clock_;
  std::string folder_;
  std::string path_;
};

// Of the store's files: what they hold, and what they take of the disk.
struct Space {
  size_t held = 0;
  size_t taken = 0;
};
Space SpaceOf(const std::string& path) {
  Space space;
  for (const auto& file : std::filesystem::directory_iterator(path)) {
    struct stat info{};
    if (stat(file.path().c_str(), &info) != 0) continue;
    space.held += static_cast<size_t>(info.st_size);
    space.taken += static_cast<size_t>(info.st_blocks) * 512;
  }
  return space;
}

TEST_F(RocksDbEngineTest, TakesSpaceAheadInSteps) {
  const auto engine = Open();
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_LT(SpaceOf(path_).taken, 3 * kLogStepBytes) << "an empty store";
  for (int i = 0; i < 40; ++i) {
    Commit(**engine, PutLabel(absl::StrCat(i), std::string(100'000, 'x')));
  }
  const Space space = SpaceOf(path_);
  EXPECT_GT(space.held, 3 * kLogStepBytes);
  EXPECT_LT(space.taken, space.held + 3 * kLogStepBytes);
}

// A file that may not grow any more, as a disk that is full; both ways to write, then the end.
int FillUntilRefused(RocksDbEngine* engine, bool by_use) {
  signal(SIGXFSZ, SIG_IGN);
  const rlimit limit = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_FSIZE, &limit);
  absl::Status failed;
  for (int i = 0; i < 100'000 && failed.ok(); ++i) {
    store::v1::UseRecord use;
    use.set_count(1);
    if (by_use) {
      failed = engine->MergeUse({{absl::StrCat(std::string(1000, 'k'), i), use}});
    } else {
      auto command = PutLabel(absl::StrCat(i), std::string(1000, 'x'));
      const auto snapshot = engine->NewSnapshot();
      if (!snapshot.ok()) return 1;
      const auto outcome = RunBatch(**snapshot, absl::UnixEpoch(), {command.get()});
      if (!outcome.ok()) return 2;
      failed = engine->Commit(outcome->request).status();
    }
  }
  if (failed.ok()) return 3;
  store::v1::UseRecord use;
  if (engine->MergeUse({{"k", use}}).ok() || engine->NewSnapshot().ok()) return 4;
  if (engine->Checkpoint("/nowhere").code() != absl::StatusCode::kUnavailable) return 5;
  return 70;
}

TEST_F(RocksDbEngineTest, AFailedWriteEndsAllWritingAndTheEngineStillCloses) {
  for (const bool by_use : {false, true}) {
    EXPECT_EXIT(
        {
          auto engine = Open();
          const int code = engine.ok() ? FillUntilRefused(engine->get(), by_use) : 6;
          engine->reset();
          _exit(code);
        },
        ::testing::ExitedWithCode(70), "");
  }
}

TEST_F(RocksDbEngineTest, AFolderOfSomethingElseIsNoStore) {
  std::filesystem::create_directories(path_);
  std::ofstream(path_ + "/notes.txt") << "mine";
  ExpectRefused(absl::StatusCode::kFailedPrecondition, "STORE_FOLDER_NOT_EMPTY");
  EXPECT_TRUE(std::filesystem::exists(path_ + "/notes.txt"));
  EXPECT_FALSE(std::filesystem::exists(path_ + "/LOCK"));
}

TEST_F(RocksDbEngineTest, ANewStoreHasAnEpochThatStays) {
  auto engine = Open();
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_TRUE((*engine)->created());
  const std::string epoch = (*engine)->epoch();
  EXPECT_EQ(epoch.size(), 32u);
  EXPECT_EQ(Meta(**engine).epoch(), epoch);
  EXPECT_EQ(Meta(**engine).format(), kStoreFormat);
  EXPECT_EQ(Meta(**engine).create_time_us(), absl::ToUnixMicros(clock_.WallNow()));
  const auto mode = std::filesystem::status(path_).permissions();
  EXPECT_EQ(mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all),
            std::filesystem::perms::none);
  engine->reset();
  engine = Open(false);
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_FALSE((*engine)->created());
  EXPECT_EQ((*engine)->epoch(), epoch);
}

TEST_F(RocksDbEngineTest, InvalidOptions) {
  EXPECT_EQ(RocksDbEngine::Open(RocksDbEngine::Options()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(RocksDbEngineTest, NoStoreAndNoneToBeMade) {
  ExpectRefused(absl::StatusCode::kNotFound, "STORE_NOT_FOUND", false);
  EXPECT_FALSE(std::filesystem::exists(path_)) << "asking makes nothing";
}

TEST_F(RocksDbEngineTest, AStoreInUse) {
  const auto engine = Open();
  ASSERT_TRUE(engine.ok());
  ExpectRefused(absl::StatusCode::kFailedPrecondition, "STORE_IN_USE");
}

TEST_F(RocksDbEngineTest, AStoreOfANewerFormat) {
  {
    const auto engine = Open().value();
    MetaRecord meta = Meta(*engine);
    meta.set_format(kStoreFormat + 1);
    Commit(*engine, Do([&](const View&, const Slot&, Effects& effects) {
      effects.Put(Table::kMeta, kMetaKey, meta);
      return absl::OkStatus();
    }));
  }
  ExpectRefused(absl::StatusCode::kFailedPrecondition, "STORE_TOO_NEW");
}

// A store that the last version of format 1 made. tests/data/README.md says what is in it.
TEST_F(RocksDbEngineTest, AStoreOfFormat1IsBroughtToThisFormatOnce) {
  std::filesystem::create_directories(folder_ + "/deep");
  const std::string unpack = absl::StrCat(
      "tar -xzf ", TOLLGATE_SOURCE_DIR, "/tests/data/store-format-1.tar.gz -C ", folder_, "/deep");
  ASSERT_EQ(std::system(unpack.c_str()), 0);
  std::vector<uint32_t> migrated;
  std::vector<std::vector<Entry>> before;
  for (int opening = 0; opening < 3; ++opening) {
    // The first one was cut short once the new table was there, before anything was in it.
    if (opening == 0) AddTable("fingerprints");
    RocksDbEngine::Options options;
    options.path = path_;
    options.random = &random_;
    options.clock = &clock_;
    options.on_migrated = [&](uint32_t from) { migrated.push_back(from); };
    const auto engine = RocksDbEngine::Open(options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    const auto snapshot = (*engine)->NewSnapshot().value();
    const MetaRecord meta = Meta(**engine);
    EXPECT_EQ(meta.format(), kStoreFormat);
    EXPECT_EQ(meta.epoch(), "0277ec9905c68a7d64a9ec75edfbf942");
    EXPECT_EQ(meta.store_id().size(), 32u);
    EXPECT_EQ(meta.keyring_checks_size(), 1) << "what else was there stays";
    const auto head = GetRecord<store::v1::HeadRecord>(*snapshot, Table::kMeta, kHeadKey).value();
    EXPECT_EQ(snapshot->revision(), 12) << "it takes no revision";
    EXPECT_EQ(head->fingerprint(), *FingerprintAt(*snapshot, 12).value());
    EXPECT_EQ(snapshot->Scan(Table::kTokens, "", "", 100)->size(), 6u);
    std::vector<std::vector<Entry>> tables;
    for (int i = 0; i < kTableCount; ++i) {
      tables.push_back(snapshot->Scan(static_cast<Table>(i), "", "", 1000).value());
    }
    if (opening > 0) {
      for (int i = 0; i < kTableCount; ++i) {
        ASSERT_EQ(tables[i].size(), before[i].size());
        for (size_t j = 0; j < tables[i].size(); ++j) {
          EXPECT_EQ(tables[i][j].value, before[i][j].value);
        }
      }
    }
    before = std::move(tables);
  }
  EXPECT_THAT(migrated, ::testing::ElementsAre(1u));
}

TEST_F(RocksDbEngineTest, AStoreWithATableOfANewerVersion) {
  Open().value().reset();
  AddTable("grants");
  ExpectRefused(absl::StatusCode::kFailedPrecondition, "STORE_TOO_NEW");
}

TEST_F(RocksDbEngineTest, AFolderThatIsAFile) {
  std::filesystem::create_directories(folder_ + "/deep");
  std::ofstream(path_) << "not a folder";
  ExpectRefused(absl::StatusCode::kFailedPrecondition, "STORE_UNREADABLE");
}

TEST_F(RocksDbEngineTest, AParentThatIsAFile) {
  std::ofstream(folder_ + "/deep") << "not a folder";
  ExpectRefused(absl::StatusCode::kFailedPrecondition, "STORE_UNREADABLE");
}

TEST_F(RocksDbEngineTest, AManifestThatIsMissingOrGarbage) {
  {
    const auto engine = Open().value();
    Commit(*engine, PutLabel("a", "1"));
    ASSERT_TRUE(engine->CompactAll().ok());
  }
  for (const auto& file : std::filesystem::directory_iterator(path_)) {
    if (file.path().filename().string().rfind("MANIFEST", 0) == 0) {
      std::ofstream(file.path()) << "garbage garbage garbage";
    }
  }
  ExpectRefused(absl::StatusCode::kDataLoss, "STORE_CORRUPT");
}

TEST_F(RocksDbEngineTest, ATableFileThatIsMissing) {
  {
    const auto engine = Open().value();
    Commit(*engine, PutLabel("a", "1"));
    ASSERT_TRUE(engine->CompactAll().ok());
  }
  ASSERT_GT(DeleteFiles(".sst"), 0);
  ExpectRefused(absl::StatusCode::kDataLoss, "STORE_CORRUPT");
}

// What is damaged while it is open: reads say so, and so does what the engine does by itself.
TEST_F(RocksDbEngineTest, ATableFileThatIsDamagedWhileItIsOpen) {
  {
    const auto engine = Open().value();
    Commit(*engine, PutLabel("a", "1"));
    ASSERT_TRUE(engine->CompactAll().ok());
  }
  absl::Mutex mu;
  std::vector<absl::Status> in_the_background;
  RocksDbEngine::Options options;
  options.path = path_;
  options.random = &random_;
  options.clock = &clock_;
  options.on_background_error = [&](const absl::Status& error) {
    absl::MutexLock lock(&mu);
    in_the_background.push_back(error);
  };
  const auto engine = RocksDbEngine::Open(options).value();
  Commit(*engine, PutLabel("b", "2"));
  for (const auto& file : std::filesystem::directory_iterator(path_)) {
    if (file.path().extension() != ".sst") continue;
    std::fstream table(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    table << std::string(48, '\xa5');
  }
  const absl::Status read = engine->NewSnapshot().value()->Get(Table::kLabels, "a").status();
  EXPECT_TRUE(absl::IsDataLoss(read)) << read;
  EXPECT_EQ(base::ReasonOf(read), "STORE_CORRUPT");
  EXPECT_THAT(std::string(read.message()), ::testing::HasSubstr(".sst"));
  EXPECT_THAT(std::string(read.message()), ::testing::HasSubstr("restore a backup"));
  EXPECT_FALSE(engine->CompactAll().ok());
  absl::MutexLock lock(&mu);
  ASSERT_FALSE(in_the_background.empty());
  EXPECT_TRUE(absl::IsDataLoss(in_the_background[0])) << in_the_background[0];
}

TEST_F(RocksDbEngineTest, AManifestThatIsMissing) {
  Open().value().reset();
  ASSERT_EQ(DeleteFiles("MANIFEST"), 1);
  ExpectRefused(absl::StatusCode::kDataLoss, "STORE_CORRUPT");
  const std::string said(Open().status().message());
  EXPECT_THAT(said, ::testing::HasSubstr("MANIFEST"));
  EXPECT_THAT(said, ::testing::HasSubstr("restore a backup"));
}

TEST_F(RocksDbEngineTest, CurrentMissingIsNeverANewStore) {
  {
    const auto engine = Open().value();
    Commit(*engine, PutLabel("a", "1"));
  }
  ASSERT_EQ(DeleteFiles("CURRENT"), 1);
  ExpectRefused(absl::StatusCode::kDataLoss, "STORE_CORRUPT");
}

TEST_F(RocksDbEngineTest, RecordsWithoutAHeadAreNoStore) {
  Open().value().reset();
  {
    std::vector<std::string> names;
    ASSERT_TRUE(rocksdb::DB::ListColumnFamilies(rocksdb::DBOptions(), path_, &names).ok());
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const std::string& name : names) {
      families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    }
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(rocksdb::DBOptions(), path_, families, &handles, &db).ok());
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] == "meta") {
        ASSERT_TRUE(db->Delete(rocksdb::WriteOptions(), handles[i], kHeadKey).ok());
      }
    }
    for (auto* handle : handles) ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
    delete db;
  }
  ExpectRefused(absl::StatusCode::kDataLoss, "STORE_CORRUPT");
}

// A killed process does not show a missing sync (the kernel keeps what was
// written), so the crash test cannot: count syncs instead.
TEST_F(RocksDbEngineTest, CommitsAreSyncedAndUseIsNot) {
  const auto engine = Open().value();
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kEnableTime);
  rocksdb::get_iostats_context()->Reset();
  ASSERT_TRUE(engine->MergeUse({{"u", store::v1::UseRecord()}}).ok());
  EXPECT_EQ(rocksdb::get_iostats_context()->fsync_nanos, 0u);
  for (int i = 0; i < 3; ++i) {
    rocksdb::get_iostats_context()->Reset();
    Commit(*engine, PutLabel("a", "1"));
    EXPECT_GT(rocksdb::get_iostats_context()->fsync_nanos, 0u);
  }
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);
}

TEST_F(RocksDbEngineTest, ALogCutShortLosesNoWholeCommit) {
  {
    const auto engine = Open().value();
    for (int i = 0; i < 10; ++i) Commit(*engine, PutLabel("a" + std::to_string(i), "1"));
  }
  // Garbage after the last synced record, as a power cut leaves it.
  for (const auto& file : std::filesystem::directory_iterator(path_)) {
    if (file.path().extension() == ".log") {
      std::ofstream(file.path(), std::ios::app) << std::string(100, '\x5a');
    }
  }
  const auto engine = Open();
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_EQ((*engine)->NewSnapshot().value()->revision(), 10);
}

}  // namespace
}  // namespace tollgate::storage
