#include "storage/schema.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::storage {
namespace {

std::string Bytes(std::initializer_list<int> bytes) {
  std::string s;
  for (int b : bytes) s.push_back(static_cast<char>(b));
  return s;
}

// Golden: these bytes lie on the disks of installations.
TEST(SchemaTest, KeysAreAsWritten) {
  EXPECT_EQ(TokenKey("acme", "id"), std::string("acme\0id", 7));
  EXPECT_EQ(CohortKey("acme", ""), std::string("acme\0", 5));
  EXPECT_EQ(CohortKey("acme", "bob"), std::string("acme\0bob", 8));
  EXPECT_EQ(LabelKey("acme", "CI key", "id"), std::string("acme\0CI key\0id", 14));
  EXPECT_EQ(LabelKey("acme", "cafe\u0301", "id"), LabelKey("acme", "caf\u00e9", "id"));
  EXPECT_EQ(RequestKey("scope", "r1"), std::string("scope\0r1", 8));
  EXPECT_EQ(RevisionKey(0x0102030405060708), Bytes({1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(AuditKey(1, 258), Bytes({0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2}));
  EXPECT_EQ(UseKey("acme", "id", "edge/1"), std::string("acme\0id\0edge/1", 14));
  EXPECT_EQ(SessionKey("v", Bytes({0, 1, 0})), std::string("v\0\0\1\0", 5));
  EXPECT_EQ(DueKey(258, DueKind::kRetire, "s"), Bytes({0, 0, 0, 0, 0, 0, 1, 2, 2}) + "s");
}

TEST(SchemaTest, ByteOrderIsNumericOrder) {
  const std::vector<int64_t> ascending = {0,        1, 255, 256, 65535, 1 << 20, int64_t{1} << 40,
                                          INT64_MAX};
  for (size_t i = 1; i < ascending.size(); ++i) {
    const int64_t less = ascending[i - 1], more = ascending[i];
    EXPECT_LT(RevisionKey(less), RevisionKey(more));
    EXPECT_LT(AuditKey(less, UINT32_MAX), AuditKey(more, 0));
    EXPECT_LT(DueKey(less, DueKind::kWatchUnused, "zz"), DueKey(more, DueKind::kExpire, ""));
  }
  EXPECT_LT(AuditKey(1, 255), AuditKey(1, 256));
}

TEST(SchemaTest, RoundTrips) {
  for (const int64_t revision : {int64_t{0}, int64_t{77}, INT64_MAX}) {
    EXPECT_EQ(ParseRevisionKey(RevisionKey(revision)).value(), revision);
  }
  const Due due = ParseDueKey(DueKey(123456789, DueKind::kWatchSilent, TokenKey("w", "t"))).value();
  EXPECT_EQ(due.time_us, 123456789);
  EXPECT_EQ(due.kind, DueKind::kWatchSilent);
  EXPECT_EQ(due.subject, TokenKey("w", "t"));
  const TokenKeyParts token = ParseTokenKey(due.subject).value();
  EXPECT_EQ(token.workspace, "w");
  EXPECT_EQ(token.token_id, "t");
  const UseKeyParts use = ParseUseKey(UseKey("w", "t", "payments/edge-3")).value();
  EXPECT_EQ(use.workspace, "w");
  EXPECT_EQ(use.token_id, "t");
  EXPECT_EQ(use.edge, "payments/edge-3");
}

TEST(SchemaTest, WhatIsNoKeyIsDataLoss) {
  const auto code = absl::StatusCode::kDataLoss;
  EXPECT_EQ(ParseRevisionKey("short").status().code(), code);
  EXPECT_EQ(ParseRevisionKey("nine bytes").status().code(), code);
  EXPECT_EQ(ParseDueKey("").status().code(), code);
  EXPECT_EQ(ParseDueKey("12345678").status().code(), code);
  EXPECT_EQ(ParseDueKey(std::string("12345678\0s", 10)).status().code(), code);
  EXPECT_EQ(ParseDueKey("12345678\x0bs").status().code(), code);
  EXPECT_EQ(ParseTokenKey("no zero").status().code(), code);
  EXPECT_EQ(ParseTokenKey(UseKey("a", "b", "c")).status().code(), code);
  EXPECT_EQ(ParseUseKey(TokenKey("a", "b")).status().code(), code);
  EXPECT_EQ(AuditKeyOf(AuditKey(1, 0)).status().code(), code);
  EXPECT_EQ(AuditKeyOf("acme").status().code(), code);
  EXPECT_EQ(ParsePurgeKey(PurgeKey(7, TokenKey("a", "b"))).value(), TokenKey("a", "b"));
  const std::string token = RevisionKey(7) + TokenKey("a", "b");
  EXPECT_EQ(ParsePurgeKey(DueKey(0, DueKind::kExpire, token)).status().code(), code);
  EXPECT_EQ(ParsePurgeKey(DueKey(5, DueKind::kPurge, token)).status().code(), code);
  EXPECT_EQ(ParsePurgeKey(DueKey(0, DueKind::kPurge, "short")).status().code(), code);
}

bool In(const KeyRange& range, const std::string& key) {
  return range.begin <= key && (range.end.empty() || key < range.end);
}

TEST(SchemaTest, RangesHoldTheirKeysAndNoOthers) {
  const KeyRange tokens = WorkspaceTokens("acme");
  EXPECT_TRUE(In(tokens, TokenKey("acme", "0000")));
  EXPECT_TRUE(In(tokens, TokenKey("acme", "zzzz")));
  EXPECT_FALSE(In(tokens, TokenKey("acme-2", "0000")));
  EXPECT_FALSE(In(tokens, TokenKey("acm", "zzzz")));
  const KeyRange labelled = TokensWithLabel("acme", "key");
  EXPECT_TRUE(In(labelled, LabelKey("acme", "key", "id")));
  EXPECT_FALSE(In(labelled, LabelKey("acme", "key 2", "id")));
  EXPECT_FALSE(In(labelled, LabelKey("acme2", "key", "id")));
  const KeyRange uses = UsesOfToken("acme", "id");
  EXPECT_TRUE(In(uses, UseKey("acme", "id", "edge")));
  EXPECT_FALSE(In(uses, UseKey("acme", "id2", "edge")));
  // The numbers hold zero bytes, which part nothing.
  EXPECT_EQ(AuditKeyOf(AuditByTokenKey("acme", "id", AuditKey(0, 256))).value(), AuditKey(0, 256));
  EXPECT_LT(AuditByTokenKey("acme", "id", AuditKey(2, 9)),
            AuditByTokenKey("acme", "id", AuditKey(256, 0)));
  EXPECT_TRUE(In(UsesOfWorkspace("acme"), UseKey("acme", "id2", "edge")));
  EXPECT_FALSE(In(UsesOfWorkspace("acme"), UseKey("acme1", "id2", "edge")));
}

TEST(SchemaTest, PrefixEndAndKeyAfter) {
  EXPECT_EQ(PrefixEnd("ab"), "ac");
  EXPECT_EQ(PrefixEnd("a\xff\xff"), "b");
  EXPECT_EQ(PrefixEnd("\xff"), "");
  EXPECT_EQ(PrefixEnd(""), "");
  EXPECT_EQ(PrefixEnd("a\x7f"), "a\x80");
  EXPECT_EQ(KeyAfter("a"), std::string("a\0", 2));
}

TEST(SchemaTest, SameRecordSameBytes) {
  store::v1::AuditRecord a, b;
  for (int i = 0; i < 50; ++i) (*a.mutable_details())["key" + std::to_string(i)] = "x";
  for (int i = 49; i >= 0; --i) (*b.mutable_details())["key" + std::to_string(i)] = "x";
  EXPECT_EQ(SerializeRecord(a), SerializeRecord(b));
}

TEST(MergeUseRecordTest, IsAssociativeAndCommutative) {
  std::vector<store::v1::UseRecord> uses(4);
  const int64_t values[4][3] = {{100, 5, 7}, {50, 2, 7}, {200, 1, 8}, {10, 4, 6}};
  for (int i = 0; i < 4; ++i) {
    uses[i].set_last_used_us(values[i][0]);
    uses[i].set_count(values[i][1]);
    uses[i].set_count_today(values[i][1]);
    uses[i].set_day(values[i][2]);
    // Of two reasons, the first of them told of by the third alone.
    auto* refused = uses[i].add_refused();
    refused->set_reason(i == 2 ? 4 : 5);
    refused->set_count(i + 1);
    refused->set_first_us(1000 - i);
    refused->set_last_us(2000 + i);
  }
  std::vector<int> order = {0, 1, 2, 3};
  do {
    store::v1::UseRecord one_by_one;
    for (int i : order) MergeUseRecord(uses[i], &one_by_one);
    store::v1::UseRecord left = uses[order[0]], right = uses[order[2]];
    MergeUseRecord(uses[order[1]], &left);
    MergeUseRecord(uses[order[3]], &right);
    MergeUseRecord(right, &left);
    EXPECT_EQ(one_by_one.SerializeAsString(), left.SerializeAsString());
    EXPECT_EQ(left.last_used_us(), 200);
    EXPECT_EQ(left.count(), 12);
    EXPECT_EQ(left.day(), 8);
    EXPECT_EQ(left.count_today(), 1);
    ASSERT_EQ(left.refused_size(), 2);
    EXPECT_EQ(left.refused(0).reason(), 4);
    EXPECT_EQ(left.refused(0).count(), 3);
    EXPECT_EQ(left.refused(1).reason(), 5);
    EXPECT_EQ(left.refused(1).count(), 1 + 2 + 4);
    EXPECT_EQ(left.refused(1).first_us(), 997);
    EXPECT_EQ(left.refused(1).last_us(), 2003);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(TableNameTest, EachIsNamedOnce) {
  std::vector<std::string> names;
  for (int i = 0; i < kTableCount; ++i) {
    names.push_back(std::string(TableName(static_cast<Table>(i))));
    EXPECT_NE(names.back(), "unknown");
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::unique(names.begin(), names.end()), names.end());
}

}  // namespace
}  // namespace tollgate::storage
