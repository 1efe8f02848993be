#include "service/records/audit_changes.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "storage/schema.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::tollgate::store::v1::AuditChange;
using ::tollgate::store::v1::AuditRecord;
using ::tollgate::store::v1::PolicyRecord;
using ::tollgate::store::v1::TokenRecord;

std::string Json(const google::protobuf::Value& value) {
  std::string json;
  EXPECT_TRUE(google::protobuf::util::MessageToJsonString(value, &json).ok());
  return json;
}

// "scopes ["a"] ["a","b"]", one string a change; "-" for a value that is not there.
std::vector<std::string> Told(const AuditRecord& entry) {
  std::vector<std::string> told;
  for (const AuditChange& change : entry.changes()) {
    told.push_back(absl::StrCat(change.field(), " ",
                                change.has_before() ? Json(change.before()) : "-", " ",
                                change.has_after() ? Json(change.after()) : "-"));
  }
  return told;
}

TokenRecord Token() {
  TokenRecord record;
  record.set_label("CI");
  record.add_scopes("deploy:read");
  record.set_stored_digest("never told");
  return record;
}

TEST(NoteChangesTest, TellsWhatDiffersAsTheResourcesJsonHasIt) {
  AuditRecord entry;
  NoteChanges(Token(), Token(), &entry);
  EXPECT_THAT(entry.changes(), IsEmpty());
  TokenRecord after = Token();
  after.set_label("CD");
  after.add_scopes("deploy:write");
  after.add_audiences("payments");
  after.set_owner("team-a");
  after.set_expire_time_us(1'800'000'000'500'000);
  after.mutable_retirement()->set_quiet_period_us(86'400'000'000);
  (*after.mutable_annotations())["env"] = "";
  after.set_stored_digest("another");
  NoteChanges(Token(), after, &entry);
  EXPECT_THAT(
      Told(entry),
      ElementsAre(R"(label "CI" "CD")", R"(scopes ["deploy:read"] ["deploy:read","deploy:write"])",
                  R"(audiences null ["payments"])", R"(owner null "team-a")",
                  R"(expire_time null "2027-01-15T08:00:00.500Z")",
                  R"(retire_plan null {"when_silent":"86400s"})", R"(annotations.env null "")"));
  TokenRecord next = after;
  next.clear_scopes();
  next.mutable_retirement()->Clear();
  next.mutable_retirement()->set_by_hand(true);
  next.clear_annotations();
  entry.Clear();
  NoteChanges(after, next, &entry);
  EXPECT_THAT(Told(entry), ElementsAre(R"(scopes ["deploy:read","deploy:write"] null)",
                                       R"(retire_plan {"when_silent":"86400s"} {"by_hand":true})",
                                       R"(annotations.env "" null)"));
}

TEST(NoteChangesTest, OfWhatIsMadeNothingWasBefore) {
  AuditRecord entry;
  NoteMade(Token(), &entry);
  EXPECT_THAT(Told(entry), ElementsAre(R"(label - "CI")", R"(scopes - ["deploy:read"])"));
}

TEST(NoteChangesTest, OfAPolicyEveryField) {
  PolicyRecord before;
  before.set_unique_labels(true);
  before.set_max_lifetime_us(86'400'000'000);
  PolicyRecord after = before;
  after.set_unique_labels(false);
  after.clear_max_lifetime_us();
  after.set_label_pattern("ci-.*");
  after.set_rotation_period_us(1'500'000);
  after.set_max_unused_us(2'000'000);
  after.set_max_live_tokens(12);
  after.add_grantable_scopes("deploy:*");
  after.add_edge_annotations("env");
  after.set_report_attempt_addresses(true);
  AuditRecord entry;
  NoteChanges(before, after, &entry);
  EXPECT_THAT(
      Told(entry),
      ElementsAre(R"(label_pattern null "ci-.*")", "unique_labels true false",
                  R"(max_lifetime "86400s" null)", R"(rotation_period null "1.500s")",
                  R"(max_unused null "2s")", "max_live_tokens null 12",
                  R"(grantable_scopes null ["deploy:*"])", R"(edge_annotations null ["env"])",
                  "report_attempt_addresses false true"));
}

// Whatever is in a token, an entry of it is small.
TEST(NoteChangesTest, IsBounded) {
  TokenRecord before;
  TokenRecord after;
  for (int i = 0; i < 64; ++i) {
    before.add_scopes(absl::StrCat(std::string(125, 'a'), 100 + i));
    after.add_scopes(absl::StrCat(std::string(125, 'b'), 100 + i));
  }
  for (int i = 0; i < 16; ++i) {
    std::string value;
    for (int k = 0; k < 256; ++k) value += "\u20ac";
    (*after.mutable_annotations())[absl::StrCat("key", i)] = value;
  }
  after.set_label(std::string(5000, 'l'));
  AuditRecord entry;
  NoteChanges(before, after, &entry);
  ASSERT_THAT(entry.changes(), SizeIs(18)) << "each is named, at least";
  EXPECT_LT(entry.ByteSizeLong(), kMostOfEntry + 4096);
  EXPECT_TRUE(entry.changes(0).cut());
  EXPECT_EQ(entry.changes(0).after().string_value().size(), kMostOfValue);
  EXPECT_EQ(entry.changes(1).after().list_value().values_size(), 32);
  EXPECT_TRUE(entry.changes(17).cut());
  EXPECT_FALSE(entry.changes(17).has_after());
  EXPECT_EQ(storage::SerializeRecord(entry), storage::SerializeRecord(AuditRecord(entry)));
  // No character is cut in two.
  TokenRecord euros;
  for (int k = 0; k < 2000; ++k) euros.mutable_label()->append("\u20ac");
  entry.Clear();
  NoteMade(euros, &entry);
  EXPECT_EQ(entry.changes(0).after().string_value().size(), kMostOfValue / 3 * 3);
}

}  // namespace
}  // namespace tollgate::service
