#include "storage/memory/memory_engine.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/sequencer.h"
#include "test_commands.h"

namespace tollgate::storage {
namespace {

using ::testing::ElementsAre;

void Commit(Engine& engine, std::shared_ptr<Command> command) {
  const BatchOutcome outcome =
      RunBatch(*engine.NewSnapshot().value(), absl::UnixEpoch(), {command.get()}).value();
  ASSERT_TRUE(engine.Commit(outcome.request)->committed);
}

std::shared_ptr<Command> Set(std::string key, absl::optional<std::string> value) {
  return Do([=](const View&, const Slot&, Effects& effects) {
    effects.mutations.push_back(Mutation{Table::kLabels, key, value});
    return absl::OkStatus();
  });
}

TEST(MemoryEngineTest, DropsVersionsThatNobodyCanSee) {
  std::unique_ptr<MemoryEngine> engine = MemoryEngine::Open().value();
  for (int i = 0; i < 100; ++i) Commit(*engine, Set("a", absl::StrCat(i)));
  EXPECT_LE(engine->version_count(), 4u + 100) << "meta, head, a, and each commit's fingerprint";
  {
    const auto snapshot = engine->NewSnapshot().value();
    for (int i = 0; i < 100; ++i) Commit(*engine, Set("a", absl::StrCat("later", i)));
    EXPECT_EQ(snapshot->Get(Table::kLabels, "a").value(), "99");
  }
  Commit(*engine, Set("a", absl::nullopt));
  Commit(*engine, Set("b", "1"));
  EXPECT_LE(engine->version_count(), 4u + 202) << "a deleted key leaves nothing behind";
}

TEST(MemoryEngineTest, CopyOfRollsBackToASnapshot) {
  std::unique_ptr<MemoryEngine> engine = MemoryEngine::Open().value();
  Commit(*engine, PutLabel("a", "1"));
  const auto then = engine->NewSnapshot().value();
  Commit(*engine, PutLabel("b", "2"));
  std::unique_ptr<MemoryEngine> copy = MemoryEngine::CopyOf(*then).value();
  EXPECT_EQ(copy->NewSnapshot().value()->revision(), 1);
  EXPECT_THAT(ScanKeys(*copy->NewSnapshot().value(), Table::kLabels, "", "", 9), ElementsAre("a"));
  Commit(*copy, PutLabel("c", "3"));
  EXPECT_THAT(ScanKeys(*copy->NewSnapshot().value(), Table::kLabels, "", "", 9),
              ElementsAre("a", "c"));
  EXPECT_THAT(ScanKeys(*engine->NewSnapshot().value(), Table::kLabels, "", "", 9),
              ElementsAre("a", "b"));
}

}  // namespace
}  // namespace tollgate::storage
