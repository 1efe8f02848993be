#include "cli/commands/audit_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "google/protobuf/util/json_util.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::AuditEntry;

constexpr char kToken[] = "workspaces/acme/tokens/4mXp81QzR0aYc7Ld";

AuditEntry Entry(const std::string& json) {
  AuditEntry entry;
  const auto read = google::protobuf::util::JsonStringToMessage(json, &entry);
  EXPECT_TRUE(read.ok()) << read << json;
  if (entry.resource().empty()) entry.set_resource(kToken);
  return entry;
}
std::string What(const std::string& json) { return WhatText(Entry(json), kToken); }

TEST(WhoText, SaysFromWhere) {
  EXPECT_EQ(WhoText(Entry(R"({"actor": "tollgated"})")), "tollgated");
  EXPECT_EQ(WhoText(Entry(R"({"actor": "spiffe://acme/ci", "origin": "10.0.3.7"})")),
            "spiffe://acme/ci (10.0.3.7)");
}

TEST(WhenText, IsAbsoluteAndRelative) {
  const absl::Time now = absl::FromUnixSeconds(1800000000);
  EXPECT_EQ(WhenText(now - absl::Hours(96), now), "2027-01-11 08:00:00 UTC (4 days ago)");
  EXPECT_EQ(WhenText(now + absl::Seconds(5), now), "2027-01-15 08:00:05 UTC (just now)")
      << "two clocks";
}

TEST(ChangesText, TellsOldAndNewValues) {
  EXPECT_EQ(ChangesText(Entry(R"({"changes": [
      {"field": "label", "before": "a", "after": "b"},
      {"field": "scopes", "before": ["x"], "after": ["x", "y"]},
      {"field": "owner", "before": null, "after": "team-a"},
      {"field": "expire_time", "before": "2027-02-22T00:00:00Z", "after": null},
      {"field": "max_lifetime", "before": "7776000s", "after": "1.500s"},
      {"field": "unique_labels", "before": false, "after": true},
      {"field": "retire_plan", "before": null, "after": {"when_silent": "86400s"}},
      {"field": "annotations.env", "before": "", "after": null},
      {"field": "audiences", "cut": true},
      {"field": "label_pattern", "before": "a", "after": "bb", "cut": true}]})")),
            "label \"a\" -> \"b\"; scopes x -> x, y; owner none -> team-a; "
            "expires 2027-02-22 00:00 UTC -> never; max lifetime 90d -> 1.5s; "
            "unique labels no -> yes; retires when silent for 24h; annotation env \"\" -> none; "
            "audiences changed, too long to keep; label pattern \"a\" -> \"bb\" … (cut)");
}

TEST(WhatText, SaysWhatBecameOfTheToken) {
  EXPECT_EQ(What(R"({"action": "token.create", "changes": [
      {"field": "label", "after": "CI"}, {"field": "scopes", "after": ["deploy:write"]},
      {"field": "expire_time", "after": "2027-02-22T10:00:00Z"}]})"),
            "created: label \"CI\"; scopes deploy:write; expires 2027-02-22 10:00 UTC");
  EXPECT_EQ(What(R"({"action": "token.suspend", "reason": "looking"})"), "suspended: looking");
  EXPECT_EQ(What(R"({"action": "token.resume"})"), "resumed");
  const std::string rotated = R"("action": "token.rotate",
      "details": {"replaced_by": "workspaces/acme/tokens/9sVb02KqT5eWx1Nf",
                  "replacement_expire_time": "2027-02-22T10:00:00Z"},
      "changes": [{"field": "retire_plan", "before": null, "after": {"by_hand": true}}])";
  EXPECT_EQ(What("{" + rotated + "}"), "rotated: replaced by 9sVb02KqT5eWx1Nf; retires by hand");
  EXPECT_EQ(WhatText(Entry("{" + rotated + "}"), "workspaces/acme/tokens/9sVb02KqT5eWx1Nf"),
            "created, to replace 4mXp81QzR0aYc7Ld; expires 2027-02-22 10:00 UTC");
  EXPECT_EQ(What(R"({"action": "token.cancel_rotation",
      "resource": "workspaces/acme/tokens/9sVb02KqT5eWx1Nf",
      "details": {"given_up": "workspaces/acme/tokens/4mXp81QzR0aYc7Ld"}})"),
            "given up: the rotation of 9sVb02KqT5eWx1Nf was taken back");
  EXPECT_EQ(What(R"({"action": "token.retire", "details": {"because": "silent",
      "last_used_edge": "staging/edge-1", "last_used_time": "2026-11-27T09:58:01.5Z"}})"),
            "retired, silent since 2026-11-27 09:58 UTC at staging/edge-1");
  EXPECT_EQ(What(R"({"action": "token.retire", "details": {"forced": "true"}})"),
            "retired, by force");
  EXPECT_EQ(What(R"({"action": "cohort.revoke", "resource": "workspaces/acme",
      "reason": "the team is gone", "details": {"owner": "team-a", "token_count": "312"}})"),
            "revoked, with all 312 of owner team-a: the team is gone");
  EXPECT_EQ(What(R"({"action": "token.revoke_again", "reason": "leaked"})"),
            "revoked once more, which changed nothing: leaked");
  EXPECT_EQ(What(R"({"action": "restore.replay", "details": {"change": "KIND_REVOKED"}})"),
            "restore.replay (KIND_REVOKED)");
  EXPECT_EQ(What(R"({"action": "token.of_tomorrow"})"), "token.of_tomorrow");
}

}  // namespace
}  // namespace tollgate::cli
