#include "cli/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "nlohmann/json.hpp"
#include "tollgate/v1/operations_service.pb.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate::cli {
namespace {

std::string Line(const google::protobuf::Message& message, const JsonMembers& more = {}) {
  std::string out;
  EXPECT_TRUE(WriteJson(message, JsonLayout::kLine, more, &out).ok());
  EXPECT_TRUE(nlohmann::json::accept(out)) << out;
  return out;
}

TEST(Json, NumbersAreNumbersWhateverTheirSize) {
  v1::RevokeTokensResponse response;
  response.set_revision(9'007'199'254'740'993);  // above 2^53
  response.set_token_count(4812);
  const nlohmann::json parsed = nlohmann::json::parse(Line(response));
  EXPECT_EQ(parsed["revision"], 9'007'199'254'740'993);
  EXPECT_EQ(parsed["token_count"], 4812);
}

TEST(Json, WhatIsZeroOrEmptyIsThereToo) {
  const nlohmann::json store = nlohmann::json::parse(Line(v1::CheckStoreResponse()));
  EXPECT_EQ(store["fault_count"], 0);
  EXPECT_EQ(store["faults"], nlohmann::json::array());
  const nlohmann::json token = nlohmann::json::parse(Line(v1::Token()));
  EXPECT_EQ(token["owner"], "");
  EXPECT_EQ(token["scopes"], nlohmann::json::array());
  EXPECT_EQ(token["annotations"], nlohmann::json::object());
  EXPECT_EQ(token["state"], "") << "not said";
  EXPECT_FALSE(token.contains("expire_time")) << "what is not set";
  EXPECT_FALSE(token.contains("edge_uses")) << "not asked for";
}

TEST(Json, AnEnumIsTheWordThatFlagsTake) {
  v1::Token token;
  token.set_state(v1::TOKEN_STATE_RETIRING);
  token.mutable_end()->set_cause(v1::END_CAUSE_COHORT);
  const nlohmann::json parsed = nlohmann::json::parse(Line(token));
  EXPECT_EQ(parsed["state"], "retiring");
  EXPECT_EQ(parsed["end"]["cause"], "cohort");
  EXPECT_EQ(EnumWord(*v1::VerdictReason_descriptor(), v1::VERDICT_REASON_INSUFFICIENT_SCOPE),
            "insufficient-scope");
  EXPECT_EQ(EnumWord(*v1::TokenState_descriptor(), 77), "unknown-77");
  EXPECT_EQ(EnumWord(*v1::TokenState_descriptor(), 0), "");
}

TEST(Json, ChoicesTimesAndMaps) {
  v1::Token token;
  token.mutable_retire_plan()->set_by_hand(true);
  token.mutable_create_time()->set_seconds(1'790'000'000);
  token.mutable_create_time()->set_nanos(500'000'000);
  (*token.mutable_annotations())["z"] = "1";
  (*token.mutable_annotations())["a"] = "2";
  const std::string line = Line(token);
  const nlohmann::json parsed = nlohmann::json::parse(line);
  EXPECT_EQ(parsed["retire_plan"], nlohmann::json({{"by_hand", true}})) << "the one that is set";
  EXPECT_EQ(parsed["create_time"], "2026-09-21T14:13:20.500Z");
  EXPECT_THAT(line, testing::HasSubstr("\"annotations\":{\"a\":\"2\",\"z\":\"1\"}"));
  token.mutable_retire_plan()->mutable_when_silent()->set_seconds(90);
  EXPECT_EQ(nlohmann::json::parse(Line(token))["retire_plan"]["when_silent"], "90s");
}

TEST(Json, NothingInItDrivesATerminal) {
  v1::Token token;
  token.set_label("a\x1b[2J\u009b\u202e\"\\\n\U000E0041 gr\u00f6\u00dfe \U0001F680");
  const std::string line = Line(token);
  EXPECT_EQ(nlohmann::json::parse(line)["label"], token.label()) << "all of it is there";
  for (const char* bad : {"\x1b", "\xc2\x9b", "\u202e", "\n", "\U000E0041"}) {
    EXPECT_THAT(line, testing::Not(testing::HasSubstr(bad)));
  }
  EXPECT_THAT(line, testing::HasSubstr("gr\u00f6\u00dfe \U0001F680"));
  EXPECT_EQ(nlohmann::json::parse(JsonString("a\xff z")), "a\ufffd z");
}

TEST(Json, LaidOutByTwoSpaces) {
  v1::ListTokenAttemptsResponse attempts;
  attempts.add_attempts()->set_count(3);
  std::string out;
  ASSERT_TRUE(
      WriteJson(attempts.attempts(0), JsonLayout::kIndented, {{"more", "true"}}, &out).ok());
  EXPECT_EQ(out,
            "{\n  \"edge\": \"\",\n  \"reason\": \"\",\n  \"count\": 3,\n  \"addresses\": [],\n"
            "  \"more\": true\n}");
  out.clear();
  ASSERT_TRUE(WriteJsonList("results", {&attempts, &attempts}, JsonLayout::kLine, {}, &out).ok());
  EXPECT_EQ(nlohmann::json::parse(out)["results"].size(), 2u);
  out.clear();
  ASSERT_TRUE(WriteJsonList("tokens", {}, JsonLayout::kIndented, {{"n", "0"}}, &out).ok());
  EXPECT_EQ(out, "{\n  \"tokens\": [],\n  \"n\": 0\n}");
}

}  // namespace
}  // namespace tollgate::cli
