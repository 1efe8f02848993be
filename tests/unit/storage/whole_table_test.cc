#include "storage/whole_table.h"

#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/memory/memory_engine.h"
#include "storage/overlay_view.h"

namespace tollgate::storage {
namespace {

using ::testing::ElementsAre;

class WholeTableTest : public ::testing::Test {
 protected:
  void Put(Table table, std::string key, std::string value) {
    view_.Apply(Mutation{table, std::move(key), std::move(value)});
  }
  void PutBinding(const std::string& member) {
    store::v1::BindingRecord record;
    record.set_member(member);
    Put(Table::kBindings, BindingKey(member, "reader"), SerializeRecord(record));
  }

  const std::unique_ptr<MemoryEngine> engine_ = MemoryEngine::Open().value();
  const std::unique_ptr<Snapshot> empty_ = engine_->NewSnapshot().value();
  OverlayView view_{empty_.get()};
};

// However many there are: also where the last of them is the last that is read at once.
TEST_F(WholeTableTest, EachEntryComesOnceAndInOrder) {
  std::vector<std::string> keys;
  for (const size_t count : {0u, 1u, 999u, 1000u, 1001u, 2000u, 2500u}) {
    while (keys.size() < count) {
      keys.push_back(absl::StrFormat("%05d", keys.size()));
      Put(Table::kLabels, keys.back(), "");
    }
    std::vector<std::string> found;
    const absl::Status walked = ForEachEntry(view_, Table::kLabels, [&](const Entry& entry) {
      found.push_back(entry.key);
      return absl::OkStatus();
    });
    EXPECT_TRUE(walked.ok()) << walked;
    EXPECT_EQ(found, keys) << count;
  }
}

TEST_F(WholeTableTest, EndsAtTheFirstError) {
  for (const char* member : {"unix:a", "unix:b", "unix:c"}) PutBinding(member);
  std::vector<std::string> found;
  const absl::Status walked = ForEachRecord<store::v1::BindingRecord>(
      view_, Table::kBindings, [&](store::v1::BindingRecord& record) {
        found.push_back(record.member());
        return found.size() < 2 ? absl::OkStatus() : absl::AbortedError("enough");
      });
  EXPECT_EQ(walked, absl::AbortedError("enough"));
  EXPECT_THAT(found, ElementsAre("unix:a", "unix:b"));
}

TEST_F(WholeTableTest, ARecordThatIsTakenAwayLeavesNothingToTheNext) {
  PutBinding("unix:a");
  Put(Table::kBindings, BindingKey("unix:b", "reader"), "");  // a whole record, without anything
  std::vector<store::v1::BindingRecord> taken;
  ASSERT_TRUE(ForEachRecord<store::v1::BindingRecord>(view_, Table::kBindings,
                                                      [&](store::v1::BindingRecord& record) {
                                                        taken.push_back(std::move(record));
                                                        return absl::OkStatus();
                                                      })
                  .ok());
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(taken[0].member(), "unix:a");
  EXPECT_EQ(taken[1].member(), "");
}

TEST_F(WholeTableTest, WhatIsNoRecordIsDamage) {
  Put(Table::kBindings, "damaged", "\xff");
  const absl::Status walked = ForEachRecord<store::v1::BindingRecord>(
      view_, Table::kBindings, [](const store::v1::BindingRecord&) { return absl::OkStatus(); });
  EXPECT_TRUE(absl::IsDataLoss(walked)) << walked;
}

}  // namespace
}  // namespace tollgate::storage
