// The answer in Envoy's words.
#include "validator/fronts/ext_authz_message.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::validator {
namespace {

using envoy::config::core::v3::HeaderValueOption;
using envoy::service::auth::v3::CheckResponse;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

CheckResponse ToCheckResponse(const GateAnswer& answer, bool grpc) {
  const std::string bytes = WriteCheckResponse(answer, grpc);
  CheckResponse response;
  EXPECT_TRUE(response.ParseFromString(bytes));
  EXPECT_EQ(response.ByteSizeLong(), bytes.size()) << "as protobuf itself would write it";
  return response;
}

std::map<std::string, std::string> Set(
    const google::protobuf::RepeatedPtrField<HeaderValueOption>& headers) {
  std::map<std::string, std::string> set;
  for (const HeaderValueOption& option : headers) {
    // Both forms, each time: never appended to what the client sent.
    EXPECT_TRUE(option.has_append());
    EXPECT_FALSE(option.append().value());
    EXPECT_EQ(option.append_action(), HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD);
    EXPECT_EQ(option.header().raw_value(), "");
    EXPECT_TRUE(set.emplace(option.header().key(), option.header().value()).second);
  }
  return set;
}

std::vector<std::string> Names(const google::protobuf::RepeatedPtrField<std::string>& names) {
  return {names.begin(), names.end()};
}

GateAnswer Admitted() {
  GateAnswer answer;
  answer.passes = true;
  answer.status = 200;
  answer.identity.set_token("workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  answer.identity.set_workspace("acme");
  answer.identity.set_owner("ci");
  answer.identity.add_scopes("deploy:write");
  answer.identity.add_scopes("items:read");
  answer.upstream_headers = {{"X-Tollgate-Workspace", "acme"}, {"x-tollgate-owner", ""}};
  answer.client_headers = {{"Cache-Control", "no-store"}, {"Tollgate-Decision", "17"}};
  return answer;
}

GateAnswer Refused(int status, const std::string& reason) {
  GateAnswer answer;
  answer.status = status;
  answer.reason = reason;
  answer.client_headers = {{"Cache-Control", "no-store"}, {"Tollgate-Decision", "17"}};
  answer.body = absl::StrCat("{\"status\":", status, "}\n");
  return answer;
}

TEST(WriteCheckResponseTest, AnAdmittedRequestGoesOnWithItsIdentity) {
  GateAnswer answer = Admitted();
  answer.drop_headers = {"Authorization",
                         "x-tollgate-workspace",
                         "x-tollgate-owner",
                         "x-api-key",
                         "x-api-key",
                         "host",
                         ":path",
                         ""};
  answer.drop_query = {"token"};
  const CheckResponse response = ToCheckResponse(answer, false);
  EXPECT_EQ(response.status().code(), 0);
  ASSERT_TRUE(response.has_ok_response());
  const auto& ok = response.ok_response();
  EXPECT_THAT(Set(ok.headers()), ElementsAre(Pair("x-tollgate-workspace", "acme")));
  // What is set is not removed; what has nothing to say is; never what Envoy does not remove.
  EXPECT_THAT(Names(ok.headers_to_remove()),
              UnorderedElementsAre("authorization", "x-tollgate-owner", "x-api-key"));
  EXPECT_THAT(Names(ok.query_parameters_to_remove()), ElementsAre("token"));
  // The service's own answer may be cached as the service says.
  EXPECT_THAT(Set(ok.response_headers_to_add()), ElementsAre(Pair("tollgate-decision", "17")));
}

TEST(WriteCheckResponseTest, WhoeverPassesIsNamedToTheProxy) {
  const CheckResponse response = ToCheckResponse(Admitted(), false);
  const auto& fields = response.dynamic_metadata().fields();
  EXPECT_EQ(fields.size(), 4u);
  EXPECT_EQ(fields.at("workspace").string_value(), "acme");
  EXPECT_EQ(fields.at("token_id").string_value(), "4mXp81QzR0aYc7Ld");
  EXPECT_EQ(fields.at("owner").string_value(), "ci");
  ASSERT_EQ(fields.at("scopes").list_value().values_size(), 2);
  EXPECT_EQ(fields.at("scopes").list_value().values(0).string_value(), "deploy:write");
  EXPECT_EQ(fields.at("scopes").list_value().values(1).string_value(), "items:read");
}

TEST(WriteCheckResponseTest, TheProxyIsToldOfAnnotations) {
  GateAnswer answer = Admitted();
  (*answer.identity.mutable_annotations())["team"] = "Über";
  (*answer.identity.mutable_annotations())["plan"] = "gold";
  const CheckResponse response = ToCheckResponse(answer, false);
  const auto& told = response.dynamic_metadata().fields().at("annotations").struct_value().fields();
  EXPECT_EQ(told.size(), 2u);
  EXPECT_EQ(told.at("team").string_value(), "Über");
  EXPECT_EQ(told.at("plan").string_value(), "gold");
}

TEST(WriteCheckResponseTest, WithoutATokenNobodyIsNamed) {
  GateAnswer answer;
  answer.passes = true;
  answer.status = 200;
  const CheckResponse response = ToCheckResponse(answer, false);
  EXPECT_TRUE(response.has_ok_response());
  EXPECT_EQ(response.dynamic_metadata().fields_size(), 0);
}

struct RefusedCase {
  int status;
  int sent;
  int code;  // gRPC's
};
class RefusedTest : public ::testing::TestWithParam<RefusedCase> {};

TEST_P(RefusedTest, IsADenialInSoManyWords) {
  const RefusedCase& c = GetParam();
  const CheckResponse response = ToCheckResponse(Refused(c.status, "A_REASON"), false);
  EXPECT_EQ(response.status().code(), c.code);
  EXPECT_EQ(response.status().message(), "A_REASON");
  ASSERT_TRUE(response.has_denied_response());
  const auto& denied = response.denied_response();
  EXPECT_EQ(denied.status().code(), c.sent);
  EXPECT_EQ(denied.body(), absl::StrCat("{\"status\":", c.status, "}\n"));
  EXPECT_THAT(Set(denied.headers()), ElementsAre(Pair("cache-control", "no-store"),
                                                 Pair("content-type", "application/problem+json"),
                                                 Pair("tollgate-decision", "17")));
  EXPECT_EQ(response.dynamic_metadata().fields().at("reason").string_value(), "A_REASON");
}
INSTANTIATE_TEST_SUITE_P(Statuses, RefusedTest,
                         ::testing::Values(RefusedCase{400, 400, 3}, RefusedCase{401, 401, 16},
                                           RefusedCase{403, 403, 7}, RefusedCase{404, 404, 5},
                                           RefusedCase{500, 500, 13}, RefusedCase{503, 503, 14},
                                           // No refusal has these: they are not passed on.
                                           RefusedCase{200, 503, 14}, RefusedCase{0, 503, 14},
                                           RefusedCase{302, 503, 14}),
                         [](const auto& i) { return absl::StrCat(i.param.status); });

TEST(WriteCheckResponseTest, AGrpcCallersDenialKeepsTheTypeOfGrpc) {
  GateAnswer answer = Refused(401, "REVOKED");
  answer.client_headers.emplace_back("Content-Type", "application/problem+json");
  answer.client_headers.emplace_back("WWW-Authenticate", "Bearer");
  const CheckResponse response = ToCheckResponse(answer, true);
  EXPECT_EQ(response.denied_response().body(), "REVOKED");
  EXPECT_THAT(Set(response.denied_response().headers()),
              ElementsAre(Pair("cache-control", "no-store"), Pair("tollgate-decision", "17"),
                          Pair("www-authenticate", "Bearer")));
}

TEST(WriteCheckResponseTest, WhatTheProxyCouldNotReadAdmitsNobody) {
  const std::vector<void (*)(GateAnswer*)> ways = {
      [](GateAnswer* a) { a->upstream_headers.emplace_back("x-owner", "a\r\nx-admin: 1"); },
      [](GateAnswer* a) { a->upstream_headers.emplace_back("x-owner", std::string("a\0b", 3)); },
      [](GateAnswer* a) { a->upstream_headers.emplace_back("x-owner", "caf\xe9"); },
      [](GateAnswer* a) { a->upstream_headers.emplace_back("x owner", "a"); },
      [](GateAnswer* a) { a->upstream_headers.emplace_back(":path", "/admin"); },
      [](GateAnswer* a) { a->upstream_headers.emplace_back("", "a"); },
      [](GateAnswer* a) { a->client_headers.emplace_back("x", "a\nb"); },
      [](GateAnswer* a) { a->drop_headers.emplace_back("x\xff"); },
      [](GateAnswer* a) { a->drop_query.emplace_back("x\xff"); },
  };
  for (size_t i = 0; i < ways.size(); ++i) {
    GateAnswer answer = Admitted();
    ways[i](&answer);
    const CheckResponse response = ToCheckResponse(answer, false);
    EXPECT_EQ(response.status().code(), 14) << i;
    ASSERT_TRUE(response.has_denied_response()) << i;
    EXPECT_EQ(response.denied_response().status().code(), 503) << i;
    EXPECT_THAT(response.denied_response().body(), IsEmpty()) << i;
  }
}

TEST(WriteCheckResponseTest, LongPartsAreWrittenAsLongOnesAre) {
  for (const size_t length : {99, 100, 117, 127, 128, 129, 1000, 16383, 16384, 70000}) {
    GateAnswer answer = Admitted();
    answer.upstream_headers.emplace_back("x-long", std::string(length, 'x'));
    const CheckResponse response = ToCheckResponse(answer, false);
    EXPECT_EQ(Set(response.ok_response().headers()).at("x-long").size(), length);
    answer.passes = false;
    answer.status = 403;
    answer.body = std::string(length, 'y');
    EXPECT_EQ(ToCheckResponse(answer, false).denied_response().body().size(), length);
  }
}

TEST(WriteCheckResponseTest, TheHostIsNeverSet) {
  GateAnswer answer = Admitted();
  answer.upstream_headers.emplace_back("Host", "internal.example");
  EXPECT_TRUE(ToCheckResponse(answer, false).has_denied_response());
}

}  // namespace
}  // namespace tollgate::validator
