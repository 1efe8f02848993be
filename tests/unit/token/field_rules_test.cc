#include "token/field_rules.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "token/token_string.h"

namespace tollgate::token {
namespace {

std::string Repeated(const std::string& s, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += s;
  return out;
}

google::protobuf::RepeatedPtrField<std::string> List(const std::vector<std::string>& v) {
  return {v.begin(), v.end()};
}
std::vector<std::string> Many(size_t n) {
  std::vector<std::string> v;
  for (size_t i = 0; i < n; ++i) v.push_back("s" + std::to_string(i));
  return v;
}
google::protobuf::Map<std::string, std::string> Pairs(
    const std::vector<std::pair<std::string, std::string>>& v) {
  google::protobuf::Map<std::string, std::string> map;
  for (const auto& [key, value] : v) map[key] = value;
  return map;
}

struct FieldCase {
  absl::Status status;
  std::string reason;  // empty: good
  std::string field = "f";
};
TEST(FieldRulesTest, Table) {
  std::vector<std::pair<std::string, std::string>> seventeen;
  for (const auto& s : Many(17)) seventeen.emplace_back(s, "");
  const std::string long_129(129, 'a');
  base::SeededRandom random(7);
  const TokenFormat::Minted minted =
      TokenFormat::ForBrand("acme").value().Mint(TokenKind::kWorkspace, random);
  const std::string token_string(minted.token_string.RevealSecret());
  std::string spoiled = token_string;  // the checksum does not hold any more
  spoiled.back() = spoiled.back() == '0' ? '1' : '0';
  const FieldCase table[] = {
      {CheckScopes(List({}), "f"), ""},
      {CheckScopes(List({"deploy:write", "items/*", "A.b_c-9"}), "f"), ""},
      {CheckScopes(List(Many(64)), "f"), ""},
      {CheckScopes(List(Many(65)), "f"), "TOO_MANY_SCOPES"},
      {CheckScopes(List({"a", ""}), "f"), "SCOPE_MALFORMED", "f[1]"},
      {CheckScopes(List({"a b"}), "f"), "SCOPE_MALFORMED", "f[0]"},
      {CheckScopes(List({"a\"b"}), "f"), "SCOPE_MALFORMED", "f[0]"},
      {CheckScopes(List({"\xc3\xa9"}), "f"), "SCOPE_MALFORMED", "f[0]"},
      {CheckScopes(List({std::string("a\0", 2)}), "f"), "SCOPE_MALFORMED", "f[0]"},
      {CheckScopes(List({std::string(128, 'a')}), "f"), ""},
      {CheckScopes(List({long_129}), "f"), "SCOPE_MALFORMED", "f[0]"},
      {CheckScopes(List({"a", "b", "a"}), "f"), "SCOPE_REPEATED", "f[2]"},
      {CheckScopes(List({"repo*"}), "f"), ""},  // of a token from before the rule of stars
      {CheckScopeStars(List({"*", "repo:*", "a/*"}), {}, "f"), ""},
      {CheckScopeStars(List({"a", "repo*"}), {}, "f"), "SCOPE_STAR_MISPLACED", "f[1]"},
      {CheckScopeStars(List({"a:*:b"}), {}, "f"), "SCOPE_STAR_MISPLACED", "f[0]"},
      {CheckScopeStars(List({"a", "repo*"}), List({"repo*"}), "f"), ""},
      {CheckScopeStars(List({"repo*", "rep*"}), List({"repo*"}), "f"), "SCOPE_STAR_MISPLACED",
       "f[1]"},
      {CheckAudiences(List({"payments", "https://x/y?z"}), "f"), ""},
      {CheckAudiences(List(Many(17)), "f"), "TOO_MANY_AUDIENCES"},
      {CheckAudiences(List({""}), "f"), "AUDIENCE_MALFORMED", "f[0]"},
      {CheckAudiences(List({"a b"}), "f"), "AUDIENCE_MALFORMED", "f[0]"},
      {CheckAudiences(List({long_129}), "f"), "AUDIENCE_MALFORMED", "f[0]"},
      {CheckAudiences(List({"a", "a"}), "f"), "AUDIENCE_REPEATED", "f[1]"},
      {CheckOwner("", "f"), ""},
      {CheckOwner("team:payments", "f"), ""},
      {CheckOwner(std::string(256, 'a'), "f"), ""},
      {CheckOwner(std::string(257, 'a'), "f"), "OWNER_TOO_LONG"},
      {CheckOwner("a b", "f"), "OWNER_MALFORMED"},
      {CheckOwner("a\n", "f"), "OWNER_MALFORMED"},
      {CheckOwner("\xff", "f"), "OWNER_MALFORMED"},
      {CheckAnnotations(Pairs({{"team", "über"}, {"a/b.c_d-e", ""}}), "f"), ""},
      {CheckAnnotations(Pairs(seventeen), "f"), "TOO_MANY_ANNOTATIONS"},
      {CheckAnnotations(Pairs({{"", "x"}}), "f"), "ANNOTATION_KEY_MALFORMED"},
      {CheckAnnotations(Pairs({{"-a", "x"}}), "f"), "ANNOTATION_KEY_MALFORMED"},
      {CheckAnnotations(Pairs({{"a b", "x"}}), "f"), "ANNOTATION_KEY_MALFORMED"},
      {CheckAnnotations(Pairs({{std::string(64, 'a'), "x"}}), "f"), "ANNOTATION_KEY_MALFORMED"},
      {CheckAnnotations(Pairs({{"a", Repeated("é", 256)}}), "f"), ""},
      {CheckAnnotations(Pairs({{"a", Repeated("é", 257)}}), "f"), "ANNOTATION_VALUE_TOO_LONG",
       "f[a]"},
      {CheckAnnotations(Pairs({{"a", std::string(1 << 20, '\xff')}}), "f"),
       "ANNOTATION_VALUE_TOO_LONG", "f[a]"},
      {CheckAnnotations(Pairs({{"a", "\xff"}}), "f"), "ANNOTATION_NOT_TEXT", "f[a]"},
      {CheckAnnotations(Pairs({{"a", "x\ny"}}), "f"), "ANNOTATION_NOT_TEXT", "f[a]"},
      {CheckAnnotations(Pairs({{"a", "\u202e"}}), "f"), "ANNOTATION_NOT_TEXT", "f[a]"},
      {CheckReason("", "f"), ""},
      {CheckReason("in a public gist", "f"), ""},
      {CheckReason(std::string(513, 'a'), "f"), "REASON_TOO_LONG"},
      {CheckReason("\xff", "f"), "REASON_NOT_TEXT"},
      {CheckReason("a\x1b[0m", "f"), "REASON_NOT_TEXT"},
      {CheckRequestId("", "f"), ""},
      {CheckRequestId("0c9bd1c2-67a4-4c5c-8c11-6b5e5d3f2a10", "f"), ""},
      {CheckRequestId(std::string(65, 'a'), "f"), "REQUEST_ID_MALFORMED"},
      {CheckRequestId("a b", "f"), "REQUEST_ID_MALFORMED"},
      {CheckOwner("see:" + token_string, "f"), "CONTAINS_TOKEN_STRING"},
      {CheckOwner("see:" + spoiled, "f"), ""},
      {CheckReason("found " + token_string + " in a gist", "f"), "CONTAINS_TOKEN_STRING"},
      {CheckReason("xx" + token_string + "0", "f"), "CONTAINS_TOKEN_STRING"},
      {CheckReason(token_string.substr(1), "f"), ""},
      {CheckScopes(List({"a", "x:" + token_string}), "f"), "CONTAINS_TOKEN_STRING", "f[1]"},
      {CheckScopes(List({spoiled}), "f"), ""},
      {CheckAudiences(List({"a", token_string}), "f"), "CONTAINS_TOKEN_STRING", "f[1]"},
      {CheckAudiences(List({spoiled}), "f"), ""},
      {CheckValidatorId("edge/" + token_string, "f"), "CONTAINS_TOKEN_STRING"},
      {CheckHoldsNoTokenString("^" + token_string + "$", "f"), "CONTAINS_TOKEN_STRING"},
      {CheckHoldsNoTokenString("^CI ", "f"), ""},
      {CheckValidatorId("payments/edge-3", "f"), ""},
      {CheckValidatorId("", "f"), "VALIDATOR_ID_MALFORMED"},
      {CheckValidatorId(long_129, "f"), "VALIDATOR_ID_MALFORMED"},
      {CheckValidatorId("a:b", "f"), "VALIDATOR_ID_MALFORMED"},
  };
  for (size_t i = 0; i < std::size(table); ++i) {
    const FieldCase& c = table[i];
    EXPECT_EQ(base::ReasonOf(c.status), c.reason) << "row " << i << ": " << c.status;
    if (c.status.ok()) continue;
    EXPECT_EQ(c.status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(c.status.ToString().find(token_string), std::string::npos) << "never echoed";
    EXPECT_EQ(base::DetailsOf(c.status).fields.at(0).field, c.field) << "row " << i;
  }
}

}  // namespace
}  // namespace tollgate::token
