// Expressions over scopes.
#include "token/scope_expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"

namespace tollgate::token {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ScopeExpression Parse(absl::string_view text) {
  absl::StatusOr<ScopeExpression> parsed = ScopeExpression::Parse(text);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() ? *std::move(parsed) : ScopeExpression();
}

bool Holds(const ScopeExpression& expression, const std::set<std::string>& scopes) {
  return expression.HoldsFor(
      [&](absl::string_view scope) { return scopes.count(std::string(scope)) > 0; });
}

// Every subset of a, b, c, d for which it holds, in order.
std::string Table(absl::string_view text) {
  const ScopeExpression expression = Parse(text);
  std::vector<std::string> held;
  for (int mask = 0; mask < 16; ++mask) {
    std::set<std::string> scopes;
    for (int i = 0; i < 4; ++i) {
      if (mask & (1 << i)) scopes.insert(std::string(1, static_cast<char>('a' + i)));
    }
    if (Holds(expression, scopes)) held.push_back(absl::StrJoin(scopes, ""));
  }
  return absl::StrJoin(held, " ");
}

TEST(ScopeExpression, MeansWhatItSays) {
  EXPECT_EQ(Table("a"), "a ab ac abc ad abd acd abcd");
  EXPECT_EQ(Table("a AND b"), "ab abc abd abcd");
  EXPECT_EQ(Table("a AND b AND c"), "abc abcd");
  EXPECT_EQ(Table("a OR b"), "a b ab ac bc abc ad bd abd acd bcd abcd");
  EXPECT_EQ(Table("a AND (b OR c)"), "ab ac abc abd acd abcd");
  EXPECT_EQ(Table("(a AND b) OR (c AND d)"), "ab abc abd cd acd bcd abcd");
  EXPECT_EQ(Table("((a)) AND ((b) OR (c AND d))"), "ab abc abd acd abcd");
}

TEST(ScopeExpression, TheEmptyOneHoldsForAll) {
  EXPECT_TRUE(ScopeExpression().empty());
  EXPECT_TRUE(Holds(ScopeExpression(), {}));
  EXPECT_THAT(ScopeExpression().Sufficient(), IsEmpty());
  EXPECT_EQ(ScopeExpression().text(), "");
  EXPECT_FALSE(Parse("a").empty());
}

TEST(ScopeExpression, IsToldWithSingleSpaces) {
  EXPECT_EQ(Parse(" a\tAND\n( b  OR\tc )").text(), "a AND (b OR c)");
}

TEST(ScopeExpression, NamesScopesThatSuffice) {
  EXPECT_THAT(Parse("a").Sufficient(), ElementsAre("a"));
  EXPECT_THAT(Parse("a AND (b OR c) AND a").Sufficient(), ElementsAre("a", "b"));
  EXPECT_THAT(Parse("(a AND b) OR c").Sufficient(), ElementsAre("a", "b"));
  for (const absl::string_view text : {"a AND (b OR c)", "(a OR b) AND (c OR (d AND a))", "d"}) {
    const ScopeExpression expression = Parse(text);
    std::set<std::string> scopes;
    for (const absl::string_view scope : expression.Sufficient()) scopes.emplace(scope);
    EXPECT_TRUE(Holds(expression, scopes)) << text;
  }
}

struct BadCase {
  std::string text;
  std::string error;
};
std::ostream& operator<<(std::ostream& out, const BadCase& c) { return out << c.text; }

class BadExpressions : public testing::TestWithParam<BadCase> {};

TEST_P(BadExpressions, AreRefusedWithTheRemedy) {
  const absl::StatusOr<ScopeExpression> parsed = ScopeExpression::Parse(GetParam().text);
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(base::ReasonOf(parsed.status()), "SCOPE_EXPRESSION_MALFORMED");
  EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(GetParam().error));
}

std::string Nested(int depth) { return std::string(depth, '(') + "a" + std::string(depth, ')'); }
std::string Many(int count) {
  std::string text = "a";
  for (int i = 1; i < count; ++i) absl::StrAppend(&text, " OR a", i);
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadExpressions,
    testing::Values(BadCase{"", "it is empty"}, BadCase{"  ", "it is empty"},
                    BadCase{"a b", "an AND or OR is missing before `b`"},
                    BadCase{"a AND", "a scope is missing at the end"},
                    BadCase{"AND a", "a scope is missing before `AND`"},
                    BadCase{"a AND OR b", "a scope is missing before `OR`"},
                    BadCase{"a AND b OR c", "AND beside OR wants parentheses"},
                    BadCase{"a OR b AND c", "AND beside OR wants parentheses"},
                    BadCase{"(a", "a `)` is missing"}, BadCase{"a)", "a `)` closes nothing"},
                    BadCase{"()", "a scope is missing before `)`"},
                    BadCase{"a and b", "for `and` write AND"},
                    BadCase{"a || b", "for `||` write OR"}, BadCase{"a , b", "for `,` write AND"},
                    BadCase{"NOT a", "there is no NOT"}, BadCase{"!a", "there is no NOT"},
                    BadCase{"a AND b,c", "`b,c` is no scope"},
                    BadCase{"a AND repo*", "`repo*`: a * stands alone, or last and behind one"},
                    BadCase{"(a) (b)", "an AND or OR is missing before `(`"},
                    BadCase{Nested(9), "more than 8 parentheses"},
                    BadCase{Many(65), "more than 64 scopes"},
                    BadCase{std::string(5000, 'a'), "longer than 4096"},
                    BadCase{std::string(129, 'a'), "is no scope: 1 to 128"}));

TEST(ScopeExpression, TakesTheMostThatItMay) {
  EXPECT_TRUE(Holds(Parse(Nested(8)), {"a"}));
  EXPECT_TRUE(Holds(Parse(Many(64)), {"a63"}));
  EXPECT_FALSE(Holds(Parse(Many(64)), {"b"}));
}

}  // namespace
}  // namespace tollgate::token
