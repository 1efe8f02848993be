// Live tokens, as every commit counts them.
#include "storage/live_count.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "storage/memory/memory_engine.h"
#include "storage/overlay_view.h"
#include "storage/schema.h"

namespace tollgate::storage {
namespace {

class LiveCountTest : public testing::Test {
 protected:
  LiveCountTest()
      : engine_(MemoryEngine::Open().value()),
        snapshot_(engine_->NewSnapshot().value()),
        view_(snapshot_.get()) {}
  void Apply(const std::vector<LiveChange>& changes) {
    ASSERT_TRUE(ApplyLiveChanges(changes, &view_).ok());
  }

  const std::unique_ptr<MemoryEngine> engine_;
  const std::unique_ptr<Snapshot> snapshot_;
  OverlayView view_;
};

TEST_F(LiveCountTest, AllIsTheSumOfTheWorkspacesWithoutTheirOwners) {
  EXPECT_EQ(AllLiveTokens(view_).value().tokens, 0);
  EXPECT_EQ(AllLiveTokens(view_).value().workspaces, 0);
  Apply({{"acme", "ada", 1}, {"acme", "bob", 1}, {"acme", "", 1}, {"acme-2", "ada", 1}});
  Apply({{"a", "zoe", 1}, {"z", "", 1}});
  EXPECT_EQ(AllLiveTokens(view_).value().tokens, 6);
  EXPECT_EQ(AllLiveTokens(view_).value().workspaces, 4);
  // A cohort leaves a workspace with a count of none.
  Apply({{"acme", "", 0, true}, {"z", "", -1}});
  EXPECT_EQ(AllLiveTokens(view_).value().tokens, 2);
  EXPECT_EQ(AllLiveTokens(view_).value().workspaces, 2);
  EXPECT_EQ(LiveTokens(view_, "acme").value(), 0);
}

// A damaged disk may give back any number; no sum of it overflows.
TEST_F(LiveCountTest, TakesAnyNumber) {
  for (const int64_t live : {INT64_MAX, INT64_MIN}) {
    store::v1::CountRecord count;
    count.set_live(live);
    for (const char* workspace : {"acme", "zeta"}) {
      for (const char* owner : {"", "ada"}) {
        view_.Apply({Table::kMeta, LiveCountKey(workspace, owner), SerializeRecord(count)});
      }
    }
    EXPECT_EQ(AllLiveTokens(view_).value().workspaces, live > 0 ? 2 : 0);
    Apply({{"acme", "ada", 1}, {"acme", "ada", -1}, {"zeta", "ada", 0, true}});
    EXPECT_EQ(LiveTokens(view_, "zeta").value(), 0);
  }
}

}  // namespace
}  // namespace tollgate::storage
