#include "token/grant.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "tests/unit/token/allocations.h"
#include "token/scope.h"

namespace tollgate::token {
namespace {

using namespace ::tollgate::v1;  // NOLINT: the enumerators

Grant Full() {
  Grant grant;
  grant.set_token("workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  grant.set_workspace("acme");
  grant.set_token_id("4mXp81QzR0aYc7Ld");
  grant.set_owner("team:ci");
  grant.set_state(TOKEN_STATE_ACTIVE);
  grant.add_scopes("deploy:write");
  grant.add_scopes("items:*");
  grant.add_audiences("payments");
  grant.mutable_expire_time()->set_seconds(1000);
  grant.mutable_expire_time()->set_nanos(1'999);
  grant.mutable_retire_time()->set_seconds(900);
  grant.set_create_revision(7);
  grant.set_create_index(3);
  (*grant.mutable_annotations())["team"] = "payments";
  (*grant.mutable_annotations())["plan"] = "gold";
  grant.set_report_attempt_addresses(true);
  return grant;
}

GrantView View(const std::string& packed) {
  GrantView view;
  EXPECT_TRUE(GrantView::Over(packed, &view));
  return view;
}

// Reads all there is; under asan a read outside the bytes ends the test.
size_t Touch(const GrantView& view) {
  size_t sum = 0;
  const auto add = [&sum](absl::string_view s) {
    for (const char c : s) sum += static_cast<uint8_t>(c);
  };
  add(view.token());
  add(view.workspace());
  add(view.token_id());
  add(view.owner());
  for (size_t i = 0; i < view.scope_count() + 1; ++i) add(view.scope(i));
  for (size_t i = 0; i < view.audience_count() + 1; ++i) add(view.audience(i));
  for (size_t i = 0; i < view.annotation_count() + 1; ++i) {
    add(view.annotation_key(i));
    add(view.annotation_value(i));
  }
  add(view.annotation("plan"));
  sum += view.report_attempt_addresses() ? 1 : 0;
  sum += static_cast<size_t>(Decide(view, {{"a"}, {"b"}, "c"}, absl::FromUnixSeconds(1)));
  return sum + static_cast<size_t>(view.create_revision()) + view.create_index();
}

TEST(GrantTest, PacksAndReads) {
  const std::string packed = PackGrant(Full());
  const GrantView view = View(packed);
  EXPECT_EQ(view.token(), "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  EXPECT_EQ(view.workspace(), "acme");
  EXPECT_EQ(view.token_id(), "4mXp81QzR0aYc7Ld");
  EXPECT_EQ(view.owner(), "team:ci");
  EXPECT_EQ(view.state(), TOKEN_STATE_ACTIVE);
  EXPECT_EQ(view.expire_time_us(), 1'000'000'001) << "a part of a micro is cut off, never added";
  EXPECT_EQ(view.retire_time_us(), 900'000'000);
  EXPECT_EQ(view.create_revision(), 7);
  EXPECT_EQ(view.create_index(), 3u);
  ASSERT_EQ(view.scope_count(), 2u);
  EXPECT_EQ(view.scope(0), "deploy:write");
  EXPECT_EQ(view.scope(1), "items:*");
  EXPECT_EQ(view.scope(2), "");
  ASSERT_EQ(view.audience_count(), 1u);
  EXPECT_EQ(view.audience(0), "payments");
  EXPECT_EQ(view.audience(1), "");
  ASSERT_EQ(view.annotation_count(), 2u);
  EXPECT_EQ(view.annotation_key(0), "plan");
  EXPECT_EQ(view.annotation_value(0), "gold");
  EXPECT_EQ(view.annotation_key(1), "team");
  EXPECT_EQ(view.annotation_value(1), "payments");
  EXPECT_EQ(view.annotation_key(2), "");
  EXPECT_EQ(view.annotation("team"), "payments");
  EXPECT_EQ(view.annotation("absent"), "");
  EXPECT_TRUE(view.report_attempt_addresses());
  EXPECT_FALSE(View(PackGrant(Grant())).report_attempt_addresses());
}

TEST(GrantTest, AnnotationsNeverMakeAGrantLong) {
  Grant grant;
  const size_t without = PackGrant(grant).size();
  for (int i = 0; i < 100; ++i) {
    (*grant.mutable_annotations())["k" + std::to_string(i)] = std::string(100, 'x');
  }
  EXPECT_LE(PackGrant(grant).size(), without + 8 * 16 + 256);
  EXPECT_EQ(View(PackGrant(grant)).annotation_count(), 2u);
}

TEST(GrantTest, AnEmptyGrantAndExtremeTimes) {
  const std::string empty = PackGrant(Grant());
  EXPECT_EQ(View(empty).expire_time_us(), 0);
  Grant grant = Full();
  grant.mutable_expire_time()->set_seconds(0);
  grant.mutable_expire_time()->set_nanos(0);
  const std::string epoch = PackGrant(grant);
  EXPECT_NE(View(epoch).expire_time_us(), 0) << "the epoch is a time, not `never`";
  for (const int64_t seconds : {INT64_MIN, INT64_MAX}) {
    grant.mutable_expire_time()->set_seconds(seconds);
    const std::string packed = PackGrant(grant);
    EXPECT_EQ(View(packed).expire_time_us() > 0, seconds > 0);
  }
}

TEST(GrantTest, EveryTruncationIsRefused) {
  const std::string packed = PackGrant(Full());
  for (size_t n = 0; n < packed.size(); ++n) {
    // A copy of its own, so that asan knows where it ends.
    const std::vector<char> cut(packed.begin(), packed.begin() + static_cast<long>(n));
    GrantView view;
    EXPECT_FALSE(GrantView::Over(absl::string_view(cut.data(), cut.size()), &view)) << n;
  }
  GrantView view;
  EXPECT_FALSE(GrantView::Over(packed + "x", &view));
}

TEST(GrantTest, TornBytesAreReadWithinTheirBounds) {
  base::SeededRandom random(20261124);
  const std::string good = PackGrant(Full());
  for (int round = 0; round < 30'000; ++round) {
    std::vector<char> bytes(good.begin(), good.end());
    // Half: torn after Over has looked, as when another process writes.
    GrantView view;
    const bool before = round % 2 == 0;
    if (before) {
      ASSERT_TRUE(GrantView::Over(absl::string_view(bytes.data(), bytes.size()), &view));
    }
    const uint64_t flips = 1 + random.Uniform(12);
    for (uint64_t i = 0; i < flips; ++i) {
      bytes[random.Uniform(bytes.size())] = static_cast<char>(random.Uniform(256));
    }
    if (before || GrantView::Over(absl::string_view(bytes.data(), bytes.size()), &view)) {
      Touch(view);
    }
  }
}

TEST(GrantTest, RandomBytesAreReadWithinTheirBounds) {
  base::SeededRandom random(9);
  for (int round = 0; round < 30'000; ++round) {
    std::vector<uint8_t> bytes(random.Uniform(200));
    random.Fill(absl::MakeSpan(bytes));
    GrantView view;
    if (GrantView::Over(
            absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()), &view)) {
      Touch(view);
    }
  }
}

ScopeExpression Expression(absl::string_view text) { return ScopeExpression::Parse(text).value(); }

struct DecideCase {
  const char* what;
  TokenState state = TOKEN_STATE_ACTIVE;
  int64_t expire_s = 0;
  int64_t retire_s = 0;
  std::vector<std::string> scopes, audiences;
  ::tollgate::token::Requirement needs;
  VerdictReason reason = VERDICT_REASON_UNSPECIFIED;
};
class DecideTest : public ::testing::TestWithParam<DecideCase> {};
INSTANTIATE_TEST_SUITE_P(
    Table, DecideTest,
    ::testing::Values(
        DecideCase{.what = "plain"}, DecideCase{.what = "retiring", .state = TOKEN_STATE_RETIRING},
        DecideCase{.what = "revoked_before_expired",
                   .state = TOKEN_STATE_REVOKED,
                   .expire_s = 1,
                   .reason = VERDICT_REASON_REVOKED},
        DecideCase{.what = "expired_state",
                   .state = TOKEN_STATE_EXPIRED,
                   .reason = VERDICT_REASON_EXPIRED},
        DecideCase{.what = "expired_by_time", .expire_s = 100, .reason = VERDICT_REASON_EXPIRED},
        DecideCase{.what = "not_yet", .expire_s = 101, .retire_s = 101},
        DecideCase{.what = "retired_by_time",
                   .state = TOKEN_STATE_RETIRING,
                   .retire_s = 100,
                   .reason = VERDICT_REASON_REVOKED},
        DecideCase{.what = "retired_first",
                   .expire_s = 90,
                   .retire_s = 80,
                   .reason = VERDICT_REASON_REVOKED},
        DecideCase{.what = "expired_first",
                   .expire_s = 80,
                   .retire_s = 90,
                   .reason = VERDICT_REASON_EXPIRED},
        DecideCase{.what = "suspended",
                   .state = TOKEN_STATE_SUSPENDED,
                   .reason = VERDICT_REASON_SUSPENDED},
        DecideCase{.what = "suspended_and_expired",
                   .state = TOKEN_STATE_SUSPENDED,
                   .expire_s = 1,
                   .reason = VERDICT_REASON_EXPIRED},
        DecideCase{.what = "unknown_state",
                   .state = static_cast<TokenState>(77),
                   .reason = VERDICT_REASON_SERVICE_UNAVAILABLE},
        DecideCase{.what = "no_state",
                   .state = TOKEN_STATE_UNSPECIFIED,
                   .reason = VERDICT_REASON_SERVICE_UNAVAILABLE},
        DecideCase{.what = "audience_matches", .audiences = {"a", "b"}, .needs = {.audience = "b"}},
        DecideCase{.what = "audience_differs",
                   .audiences = {"a"},
                   .needs = {.audience = "b"},
                   .reason = VERDICT_REASON_WRONG_AUDIENCE},
        DecideCase{.what = "audience_not_named",
                   .audiences = {"a"},
                   .reason = VERDICT_REASON_WRONG_AUDIENCE},
        DecideCase{.what = "meant_for_any", .needs = {.audience = "b"}},
        DecideCase{.what = "audience_before_scope",
                   .audiences = {"a"},
                   .needs = {.any_scopes = {"x"}, .audience = "b"},
                   .reason = VERDICT_REASON_WRONG_AUDIENCE},
        DecideCase{.what = "any_of", .scopes = {"x"}, .needs = {.any_scopes = {"y", "x"}}},
        DecideCase{.what = "none_of",
                   .scopes = {"z"},
                   .needs = {.any_scopes = {"y", "x"}},
                   .reason = VERDICT_REASON_INSUFFICIENT_SCOPE},
        DecideCase{.what = "all_of", .scopes = {"x", "y"}, .needs = {.all_scopes = {"y", "x"}}},
        DecideCase{.what = "not_all_of",
                   .scopes = {"x"},
                   .needs = {.all_scopes = {"y", "x"}},
                   .reason = VERDICT_REASON_INSUFFICIENT_SCOPE},
        DecideCase{.what = "all_but_not_any",
                   .scopes = {"x"},
                   .needs = {.any_scopes = {"y"}, .all_scopes = {"x"}},
                   .reason = VERDICT_REASON_INSUFFICIENT_SCOPE},
        DecideCase{.what = "workspace_matches", .needs = {.workspace = "acme"}},
        DecideCase{.what = "workspace_differs",
                   .needs = {.workspace = "globex"},
                   .reason = VERDICT_REASON_WRONG_WORKSPACE},
        DecideCase{.what = "workspace_is_not_a_prefix",
                   .needs = {.workspace = "acm"},
                   .reason = VERDICT_REASON_WRONG_WORKSPACE},
        DecideCase{.what = "audience_before_workspace",
                   .audiences = {"a"},
                   .needs = {.audience = "b", .workspace = "globex"},
                   .reason = VERDICT_REASON_WRONG_AUDIENCE},
        DecideCase{.what = "workspace_before_scope",
                   .needs = {.any_scopes = {"x"}, .workspace = "globex"},
                   .reason = VERDICT_REASON_WRONG_WORKSPACE},
        DecideCase{.what = "revoked_before_workspace",
                   .state = TOKEN_STATE_REVOKED,
                   .needs = {.workspace = "globex"},
                   .reason = VERDICT_REASON_REVOKED},
        DecideCase{.what = "expression_holds",
                   .scopes = {"x", "z:*"},
                   .needs = {.scope_expression = Expression("x AND (y OR z:1)")}},
        DecideCase{.what = "expression_fails",
                   .scopes = {"x"},
                   .needs = {.scope_expression = Expression("x AND (y OR z)")},
                   .reason = VERDICT_REASON_INSUFFICIENT_SCOPE},
        DecideCase{.what = "expression_beside_any",
                   .scopes = {"x"},
                   .needs = {.any_scopes = {"y"}, .scope_expression = Expression("x")},
                   .reason = VERDICT_REASON_INSUFFICIENT_SCOPE},
        DecideCase{.what = "star", .scopes = {"items:*"}, .needs = {.all_scopes = {"items:read"}}}),
    [](const auto& info) { return info.param.what; });
TEST_P(DecideTest, IsAsTold) {
  const DecideCase& c = GetParam();
  Grant grant;
  grant.set_workspace("acme");
  grant.set_state(c.state);
  if (c.expire_s != 0) grant.mutable_expire_time()->set_seconds(c.expire_s);
  if (c.retire_s != 0) grant.mutable_retire_time()->set_seconds(c.retire_s);
  for (const auto& s : c.scopes) grant.add_scopes(s);
  for (const auto& a : c.audiences) grant.add_audiences(a);
  const std::string packed = PackGrant(grant);
  const GrantView view = View(packed);
  const int before = AllocationsOfThisThread();
  const VerdictReason reason = Decide(view, c.needs, absl::FromUnixSeconds(100));
  EXPECT_EQ(AllocationsOfThisThread(), before);
  EXPECT_EQ(reason, c.reason);
}

TEST(DecideTest, NothingIsNeitherAdmittedNorAccused) {
  EXPECT_EQ(Decide(GrantView(), {}, absl::FromUnixSeconds(1)), VERDICT_REASON_SERVICE_UNAVAILABLE);
}

TEST(ScopeTest, Grants) {
  struct {
    const char* granted;
    const char* needed;
    bool yes;
  } const table[] = {
      {"a:read", "a:read", true},
      {"a:read", "a:reader", false},
      {"a:reader", "a:read", false},
      {"a:*", "a:read", true},
      {"a:*", "a:", true},
      {"a:*", "a", false},
      {"a:*", "b:read", false},
      {"*", "anything", true},
      {"a:*:x", "a:b:x", false},
      {"a:*:x", "a:*:x", true},
      {"a:read", "a:*", false},
      {"a:*", "a:*", true},
      {"A:read", "a:read", false},
      {"", "", false},
      {"", "a", false},
  };
  for (const auto& row : table) {
    EXPECT_EQ(ScopeGrants(row.granted, row.needed), row.yes) << row.granted << " " << row.needed;
  }
}

TEST(ScopeTest, AStarStandsAloneOrLastBehindASeparator) {
  for (const char* placed : {"*", "a:*", "a/*", "a.*", "a:b:*", "a::*", ":*", "deploy:write", ""}) {
    EXPECT_TRUE(StarIsPlaced(placed)) << placed;
  }
  for (const char* misplaced :
       {"repo*", "a-*", "a_*", "*a", "*:a", "a:*:b", "a:**", "**", "a:*b"}) {
    EXPECT_FALSE(StarIsPlaced(misplaced)) << misplaced;
  }
}

TEST(ScopeTest, APlacedStarStaysWithinItsName) {
  // Whatever a placed star meets is the name before its separator, and more: never a longer name.
  for (const char* granted : {"repo:*", "repo/*", "repo.*"}) {
    const std::string name = "repo";
    for (const char* needed : {"report:all", "report", "repo", "repository.x", "repo-x:read"}) {
      EXPECT_FALSE(ScopeGrants(granted, needed)) << granted << " " << needed;
    }
    const std::string under = std::string(granted, name.size() + 1);
    EXPECT_TRUE(ScopeGrants(granted, under + "read")) << granted;
    EXPECT_TRUE(ScopeGrants(granted, under + "read:all")) << granted;
    EXPECT_TRUE(ScopeGrants(granted, granted)) << granted;
    EXPECT_TRUE(ScopeGrants(granted, under + "sub:*")) << granted;
    EXPECT_FALSE(ScopeGrants(under + "sub:*", granted)) << granted;
  }
  // A token from before the rule keeps what it has.
  EXPECT_TRUE(ScopeGrants("repo*", "report:all"));
}

TEST(DescribeTest, EveryReasonHasWords) {
  for (int i = VerdictReason_MIN; i <= VerdictReason_MAX; ++i) {
    EXPECT_FALSE(Describe(static_cast<VerdictReason>(i)).empty());
    if (VerdictReason_IsValid(i)) {
      EXPECT_NE(Describe(static_cast<VerdictReason>(i)), "refused");
    }
  }
  EXPECT_EQ(Describe(VERDICT_REASON_REVOKED), "revoked");
  EXPECT_EQ(Describe(static_cast<VerdictReason>(99)), "refused");
}

}  // namespace
}  // namespace tollgate::token
