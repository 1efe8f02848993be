#include "storage/overlay_view.h"

#include <algorithm>
#include <map>

#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/memory/memory_engine.h"
#include "test_commands.h"

namespace tollgate::storage {
namespace {

using ::testing::ElementsAre;

// Lays random changes over a random base and compares every read with a plain map.
TEST(OverlayViewTest, AgreesWithAMapUnderRandomChanges) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    base::SeededRandom random(seed);
    const auto key = [&] { return std::string(1, static_cast<char>('a' + random.Uniform(12))); };
    std::unique_ptr<MemoryEngine> engine = MemoryEngine::Open().value();
    std::map<std::string, std::string> truth;
    std::map<std::string, Mutation> first;
    for (int i = 0; i < 8; ++i) {
      const std::string k = key();
      first[k] = Mutation{Table::kLabels, k, "base"};
      truth[k] = "base";
    }
    CommitRequest request;
    for (auto& [k, mutation] : first) request.mutations.push_back(mutation);
    store::v1::HeadRecord head;
    head.set_revision(1);
    request.mutations.push_back(Mutation{Table::kMeta, kHeadKey, SerializeRecord(head)});
    ASSERT_TRUE(engine->Commit(request).value().committed);
    const std::unique_ptr<Snapshot> snapshot = engine->NewSnapshot().value();
    OverlayView view(snapshot.get());
    for (int i = 0; i < 8; ++i) {
      const std::string k = key();
      if (random.Uniform(2) == 0) {
        view.Apply(Mutation{Table::kLabels, k, absl::nullopt});
        truth.erase(k);
      } else {
        view.Apply(Mutation{Table::kLabels, k, "over"});
        truth[k] = "over";
      }
    }
    for (char c = 'a'; c < 'a' + 12; ++c) {
      const std::string k(1, c);
      const auto value = view.Get(Table::kLabels, k).value();
      const auto found = truth.find(k);
      ASSERT_EQ(value.has_value(), found != truth.end()) << "seed " << seed;
      if (value.has_value()) {
        ASSERT_EQ(*value, found->second);
      }
    }
    for (int i = 0; i < 30; ++i) {
      const std::string begin = random.Uniform(4) == 0 ? "" : key();
      const std::string end = random.Uniform(4) == 0 ? "" : key();
      const size_t limit = random.Uniform(14);
      std::vector<std::string> expected;
      for (const auto& [k, v] : truth) {
        if (k >= begin && (end.empty() || k < end) && expected.size() < limit) {
          expected.push_back(k + v);
        }
      }
      std::vector<std::string> got;
      const std::vector<Entry> entries = view.Scan(Table::kLabels, begin, end, limit).value();
      for (const Entry& entry : entries) got.push_back(entry.key + entry.value);
      ASSERT_EQ(got, expected) << "seed " << seed << " [" << begin << "," << end << ") " << limit;
    }
  }
}

TEST(OverlayViewTest, TakesEachKeyOnce) {
  std::unique_ptr<MemoryEngine> engine = MemoryEngine::Open().value();
  const std::unique_ptr<Snapshot> snapshot = engine->NewSnapshot().value();
  OverlayView view(snapshot.get());
  view.Apply(Mutation{Table::kLabels, "a", "1"});
  view.Apply(Mutation{Table::kLabels, "a", absl::nullopt});
  view.Apply(Mutation{Table::kLabels, "a", "2"});
  view.Apply(Mutation{Table::kTokens, "a", absl::nullopt});
  EXPECT_THAT(ScanKeys(view, Table::kLabels, "", "", SIZE_MAX), ElementsAre("a"));
  const std::vector<Mutation> mutations = view.TakeMutations();
  ASSERT_EQ(mutations.size(), 2u);
  EXPECT_EQ(mutations[0].table, Table::kTokens);
  EXPECT_EQ(mutations[0].value, absl::nullopt);
  EXPECT_EQ(mutations[1].value, "2");
}

}  // namespace
}  // namespace tollgate::storage
