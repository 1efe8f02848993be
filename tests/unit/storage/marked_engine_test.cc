#include "storage/journal/marked_engine.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/memory/memory_engine.h"
#include "storage/schema.h"
#include "storage/sequencer.h"
#include "tests/instruments/fault_engine.h"
#include "tests/unit/storage/test_commands.h"

namespace tollgate::storage {
namespace {

using ::testing::HasSubstr;

class MarkedEngineTest : public ::testing::Test {
 protected:
  MarkedEngineTest() {
    std::string made = ::testing::TempDir() + "marked_engine_test-XXXXXX";
    folder_ = ::mkdtemp(made.data());
    path_ = folder_ + "/mark";
    store_ = std::make_unique<instruments::FaultEngine>(MemoryEngine::Open().value());
  }
  ~MarkedEngineTest() override { std::filesystem::remove_all(folder_); }

  absl::StatusOr<std::unique_ptr<MarkedEngine>> TryOpen(Engine* store) {
    MarkedEngine::Options options;
    options.path = path_;
    options.on_failed = [this](const absl::Status& status) { failed_.push_back(status); };
    return MarkedEngine::Open(store, std::move(options));
  }
  void Open() { engine_ = TryOpen(store_.get()).value(); }
  static void Put(Engine& engine, const std::string& key) {
    const auto command = PutLabel(key, "1");
    const auto outcome =
        RunBatch(*engine.NewSnapshot().value(), absl::UnixEpoch(), {command.get()}).value();
    ASSERT_TRUE(engine.Commit(outcome.request)->committed);
  }
  std::unique_ptr<MemoryEngine> Copy() {
    return MemoryEngine::CopyOf(*store_->NewSnapshot().value()).value();
  }
  int64_t Marked() { return HeadMark(path_).Read().value().value_or(HeadMark::Head()).revision; }
  void ExpectRefused(Engine* store, const std::string& says) {
    const absl::Status status = TryOpen(store).status();
    EXPECT_EQ(base::ReasonOf(status), "STORE_ROLLED_BACK") << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(says));
    EXPECT_THAT(std::string(status.message()), HasSubstr("tollgated new-epoch"));
  }
  std::string ReadFile() {
    std::ifstream file(path_, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  void WriteFile(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }

  std::string folder_, path_;
  std::vector<absl::Status> failed_;
  std::unique_ptr<instruments::FaultEngine> store_;
  std::unique_ptr<MarkedEngine> engine_;
};

TEST_F(MarkedEngineTest, EveryCommitIsMarkedInPlace) {
  Open();
  EXPECT_FALSE(std::filesystem::exists(path_)) << "looking writes nothing";
  Put(*engine_, "a");
  const auto size = std::filesystem::file_size(path_);
  struct stat status;
  ASSERT_EQ(0, ::stat(path_.c_str(), &status));
  EXPECT_EQ(0600u, status.st_mode & 0777);
  Put(*engine_, "b");
  EXPECT_EQ(std::filesystem::file_size(path_), size);
  const HeadMark::Head mark = HeadMark(path_).Read()->value();
  EXPECT_EQ(mark.revision, 2);
  EXPECT_EQ(mark.store_id, "00000000000000000000000000000002");
  EXPECT_EQ(mark.epoch, "00000000000000000000000000000001");
  EXPECT_EQ(mark.fingerprint, *FingerprintAt(*engine_->NewSnapshot().value(), 2).value());
  EXPECT_EQ(engine_->failures(), 0);
}

TEST_F(MarkedEngineTest, NobodyHearsOfACommitBeforeItsMark) {
  Open();
  std::vector<int64_t> marked;
  auto tail = engine_->TailFrom(0, [&](const TailEntry&) { marked.push_back(Marked()); }).value();
  Put(*engine_, "a");
  Put(*engine_, "b");
  EXPECT_THAT(marked, ::testing::ElementsAre(1, 2));
  tail.reset();
  // Whoever reads what the committer has not marked yet marks it.
  Put(*store_, "c");
  EXPECT_EQ(Marked(), 2);
  EXPECT_EQ(engine_->NewSnapshot().value()->revision(), 3);
  EXPECT_EQ(Marked(), 3);
}

TEST_F(MarkedEngineTest, WhatIsNotCommittedIsNotMarked) {
  Open();
  Put(*engine_, "a");
  store_->LoseNextRace();
  const auto command = PutLabel("b", "1");
  const auto outcome =
      RunBatch(*engine_->NewSnapshot().value(), absl::UnixEpoch(), {command.get()}).value();
  EXPECT_FALSE(engine_->Commit(outcome.request)->committed);
  EXPECT_EQ(Marked(), 1);
  store_->FailNextCommit(absl::UnavailableError("disk"));
  EXPECT_FALSE(engine_->Commit(outcome.request).ok());
  EXPECT_EQ(Marked(), 1);
}

TEST_F(MarkedEngineTest, AStoreBelowItsMarkIsRefused) {
  Open();
  Put(*engine_, "a");
  const auto old = Copy();
  Put(*engine_, "b");
  ExpectRefused(old.get(), "it was at revision 2 and is at revision 1");
  EXPECT_TRUE(TryOpen(store_.get()).ok());
}

TEST_F(MarkedEngineTest, AnotherCommitAtTheMarkIsRefused) {
  Open();
  Put(*engine_, "a");
  const auto old = Copy();
  Put(*engine_, "b");
  Put(*old, "another");
  ExpectRefused(old.get(), "its revision 2 is another");
  Put(*old, "and more");
  ExpectRefused(old.get(), "its revision 2 is another");
}

TEST_F(MarkedEngineTest, AnOlderMarkOfTheSameHistorySaysNothing) {  // as after a power cut
  Open();
  Put(*engine_, "a");
  const std::string before = ReadFile();
  Put(*engine_, "b");
  WriteFile(before);
  EXPECT_TRUE(TryOpen(store_.get()).ok());
  // Nor does one of a revision whose fingerprint is no longer kept.
  const auto drop = Do([](const View&, const Slot&, Effects& effects) {
    effects.Delete(Table::kFingerprints, RevisionKey(1));
    return absl::OkStatus();
  });
  const auto outcome =
      RunBatch(*store_->NewSnapshot().value(), absl::UnixEpoch(), {drop.get()}).value();
  ASSERT_TRUE(store_->Commit(outcome.request)->committed);
  EXPECT_TRUE(TryOpen(store_.get()).ok());
}

TEST_F(MarkedEngineTest, AMarkOfAnotherStoreOrEpochIsReplaced) {
  for (const bool epoch : {false, true}) {
    MemoryEngine::Options options;
    (epoch ? options.epoch : options.store_id) = "ffffffffffffffffffffffffffffffff";
    const auto other = MemoryEngine::Open(options).value();
    {
      const auto engine = TryOpen(other.get());
      ASSERT_TRUE(engine.ok()) << engine.status();
      for (int i = 0; i < 5; ++i) Put(**engine, absl::StrCat(i));
    }
    EXPECT_EQ(Marked(), 5);
    store_ = std::make_unique<instruments::FaultEngine>(MemoryEngine::Open().value());
    Open();
    Put(*engine_, "a");
    EXPECT_EQ(Marked(), 1);
    engine_.reset();
  }
}

TEST_F(MarkedEngineTest, AMarkThatIsNotWholeSaysNothingAndIsTold) {
  Open();
  Put(*engine_, "a");
  const std::string whole = ReadFile();
  const auto old = MemoryEngine::Open().value();
  ExpectRefused(old.get(), "revision 1");
  for (size_t i = 0; i < whole.size(); ++i) {
    failed_.clear();
    std::string torn = whole;
    torn[i] = static_cast<char>(torn[i] ^ 1);
    WriteFile(i % 2 == 0 ? torn : whole.substr(0, i));
    EXPECT_TRUE(TryOpen(old.get()).ok()) << i;
    EXPECT_EQ(failed_.size(), 1u) << i;
  }
}

TEST_F(MarkedEngineTest, WithoutAMarkTheStoreGoesOnAndItIsTold) {
  path_ = folder_ + "/missing/mark";
  Open();
  Put(*engine_, "a");
  Put(*engine_, "b");
  EXPECT_EQ(engine_->failures(), 2);
  ASSERT_EQ(failed_.size(), 1u) << "once";
  EXPECT_THAT(std::string(failed_[0].message()), HasSubstr(path_));
  // And takes it up again.
  std::filesystem::create_directory(folder_ + "/missing");
  Put(*engine_, "c");
  EXPECT_EQ(Marked(), 3);
  EXPECT_EQ(engine_->failures(), 2);
}

}  // namespace
}  // namespace tollgate::storage
