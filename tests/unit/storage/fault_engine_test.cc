#include "tests/instruments/fault_engine.h"

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/sequencer.h"
#include "test_commands.h"

namespace tollgate::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FaultEngineTest : public ::testing::Test {
 protected:
  absl::StatusOr<CommitResult> Commit(std::string key) {
    const auto command = PutLabel(std::move(key), "1");
    return engine_->Commit(
        RunBatch(*engine_->NewSnapshot().value(), absl::UnixEpoch(), {command.get()})->request);
  }
  static std::vector<std::string> Labels(Engine& engine) {
    return ScanKeys(*engine.NewSnapshot().value(), Table::kLabels, "", "", 100);
  }
  std::unique_ptr<instruments::FaultEngine> engine_ =
      std::make_unique<instruments::FaultEngine>(MemoryEngine::Open().value());
};

TEST_F(FaultEngineTest, Fails) {
  engine_->FailNextCommit(absl::UnavailableError("disk"));
  EXPECT_EQ(Commit("a").status().message(), "disk");
  EXPECT_THAT(Labels(*engine_), IsEmpty());
  EXPECT_TRUE(Commit("b")->committed);
  engine_->FailNextSnapshot(absl::UnavailableError("read"));
  EXPECT_FALSE(engine_->NewSnapshot().ok());
  EXPECT_TRUE(engine_->NewSnapshot().ok());
  engine_->FailNextMergeUse(absl::UnavailableError("use"));
  EXPECT_FALSE(engine_->MergeUse({}).ok());
  EXPECT_TRUE(engine_->MergeUse({}).ok());
}

TEST_F(FaultEngineTest, FailsAfterHavingWritten) {
  engine_->FailNextCommitUncertainly(absl::UnavailableError("cut"));
  EXPECT_EQ(Commit("a").status().message(), "cut");
  EXPECT_THAT(Labels(*engine_), ElementsAre("a"));
}

TEST_F(FaultEngineTest, LosesARace) {
  engine_->LoseNextRace({Mutation{Table::kLabels, "rival", "1"}});
  const auto result = Commit("a");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->committed);
  EXPECT_EQ(result->head, 1);
  EXPECT_THAT(Labels(*engine_), ElementsAre("rival"));
}

TEST_F(FaultEngineTest, CrashLosesUseThatWasNotSynced) {
  store::v1::UseRecord use;
  use.set_count(1);
  ASSERT_TRUE(engine_->MergeUse({{"synced", use}}).ok());
  ASSERT_TRUE(Commit("a")->committed);
  ASSERT_TRUE(engine_->MergeUse({{"lost", use}, {"synced", use}}).ok());
  const auto found = engine_->Crash(false).value();
  const auto snapshot = found->NewSnapshot().value();
  EXPECT_THAT(ScanKeys(*snapshot, Table::kUse, "", "", 9), ElementsAre("synced"));
  EXPECT_EQ(GetRecord<store::v1::UseRecord>(*snapshot, Table::kUse, "synced").value()->count(), 1);
  EXPECT_THAT(Labels(*found), ElementsAre("a"));
  EXPECT_FALSE(engine_->NewSnapshot().ok());
  EXPECT_FALSE(engine_->MergeUse({}).ok());
  EXPECT_FALSE(engine_->TailFrom(0, [](const TailEntry&) {}).ok());
  EXPECT_FALSE(engine_->Crash(false).ok());
}

TEST_F(FaultEngineTest, CrashKeepsOrLosesTheCommitUnderWay) {
  for (const bool keep : {false, true}) {
    engine_ = std::make_unique<instruments::FaultEngine>(MemoryEngine::Open().value());
    ASSERT_TRUE(Commit("a")->committed);
    engine_->HoldCommits();
    absl::Status status;
    std::thread writer([&] { status = Commit("b").status(); });
    ASSERT_TRUE(engine_->WaitForHeld(1));
    const auto found = engine_->Crash(keep).value();
    writer.join();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << "never acknowledged, either way";
    if (keep) {
      EXPECT_THAT(Labels(*found), ElementsAre("a", "b"));
    } else {
      EXPECT_THAT(Labels(*found), ElementsAre("a"));
    }
  }
}

}  // namespace
}  // namespace tollgate::storage
