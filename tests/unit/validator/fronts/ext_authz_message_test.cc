// Envoy's words, there and back, as values.
#include "validator/fronts/ext_authz_message.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::validator {
namespace {

using envoy::config::core::v3::HeaderValueOption;
using envoy::service::auth::v3::CheckRequest;
using envoy::service::auth::v3::CheckResponse;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

auto* HttpOf(CheckRequest* message) {
  return message->mutable_attributes()->mutable_request()->mutable_http();
}
void AddHeader(CheckRequest* message, const std::string& key, const std::string& value) {
  auto* entry = HttpOf(message)->add_headers();
  entry->set_key(key);
  entry->set_value(value);
}
void AddRaw(CheckRequest* message, const std::string& key, const std::string& value) {
  auto* line = HttpOf(message)->mutable_header_map()->add_headers();
  line->set_key(key);
  line->set_raw_value(value);
}
void AddExtension(CheckRequest* message, const std::string& key, const std::string& value) {
  auto* entry = message->mutable_attributes()->add_context_extensions();
  entry->set_key(key);
  entry->set_value(value);
}

CheckRequest Get(const std::string& path) {
  CheckRequest message;
  auto* http = HttpOf(&message);
  http->set_method("GET");
  http->set_host("api.example:8443");
  http->set_path(path);
  return message;
}

std::vector<std::pair<std::string, std::string>> HeadersOf(const CheckedRequest& read) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (const auto& [name, value] : read.request.headers) headers.emplace_back(name, value);
  return headers;
}

// How a request's headers come: as a map, and where the proxy encodes raw headers.
class ReadCheckTest : public ::testing::TestWithParam<bool> {
 protected:
  void Add(CheckRequest* message, const std::string& key, const std::string& value) {
    GetParam() ? AddRaw(message, key, value) : AddHeader(message, key, value);
  }
};
INSTANTIATE_TEST_SUITE_P(Headers, ReadCheckTest, ::testing::Values(false, true),
                         [](const auto& i) { return i.param ? "Raw" : "Map"; });

TEST_P(ReadCheckTest, TheRequestIsAsTheClientSentIt) {
  CheckRequest message = Get("/v1/a%2fb?x=1&y");
  Add(&message, ":authority", "other.example");
  Add(&message, ":path", "/other");
  Add(&message, ":method", "POST");
  Add(&message, "authorization", "Bearer tgw_x");
  Add(&message, "x-note", "caf\xe9");
  const auto read = ReadCheck(message);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->request.method, "GET");
  EXPECT_EQ(read->request.host, "api.example:8443");
  EXPECT_EQ(read->request.target, "/v1/a%2fb?x=1&y");
  EXPECT_EQ(read->request.requirement, "");
  EXPECT_FALSE(read->grpc);
  EXPECT_THAT(HeadersOf(*read),
              ElementsAre(Pair("authorization", "Bearer tgw_x"), Pair("x-note", "caf\xe9")));
}

TEST_P(ReadCheckTest, TheClientIsWhoIsConnectedAndNoHeaderSaysOtherwise) {
  CheckRequest message = Get("/");
  Add(&message, "x-forwarded-for", "198.51.100.1");
  Add(&message, "x-envoy-external-address", "198.51.100.2");
  EXPECT_TRUE(ReadCheck(message)->request.client.empty());
  auto* socket =
      message.mutable_attributes()->mutable_source()->mutable_address()->mutable_socket_address();
  socket->set_address("::ffff:192.0.2.7");
  EXPECT_EQ(ReadCheck(message)->request.client.text(), "192.0.2.7");
  socket->set_address("edge.example\xff");
  EXPECT_TRUE(ReadCheck(message)->request.client.empty());
}

TEST_P(ReadCheckTest, ALineThatComesTwiceIsSeenTwice) {
  CheckRequest message = Get("/");
  Add(&message, "authorization", "Bearer a");
  Add(&message, "authorization", "Bearer b");
  const auto read = ReadCheck(message);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(HeadersOf(*read),
              ElementsAre(Pair("authorization", "Bearer a"), Pair("authorization", "Bearer b")));
}

TEST_P(ReadCheckTest, NothingIsCopied) {
  CheckRequest message = Get("/a-path-that-is-too-long-to-lie-in-the-object");
  Add(&message, "authorization", "Bearer a-token-that-is-too-long-to-lie-in-the-object");
  const auto read = ReadCheck(message);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->request.target.data(), HttpOf(&message)->path().data());
  const std::string& held = GetParam() ? HttpOf(&message)->header_map().headers(0).raw_value()
                                       : HttpOf(&message)->headers(0).value();
  EXPECT_EQ(read->request.headers[0].second.data(), held.data());
}

TEST_P(ReadCheckTest, GrpcIsToldByItsType) {
  for (const auto& [type, grpc] : std::map<std::string, bool>{{"application/grpc", true},
                                                              {"application/grpc+proto", true},
                                                              {"application/grpc;x", true},
                                                              {"application/grpc-web", false},
                                                              {"application/json", false},
                                                              {"", false}}) {
    CheckRequest message = Get("/a.B/C");
    Add(&message, "content-type", type);
    const auto read = ReadCheck(message);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->grpc, grpc) << type;
  }
}

TEST_P(ReadCheckTest, HeadersAreBounded) {
  CheckRequest message = Get("/");
  for (size_t i = 0; i < kMostCheckHeaders; ++i) Add(&message, absl::StrCat("h", i), "v");
  EXPECT_TRUE(ReadCheck(message).ok());
  Add(&message, "one-more", "v");
  EXPECT_EQ(base::ReasonOf(ReadCheck(message).status()), "MALFORMED_REQUEST");
}

TEST(ReadExtensionsTest, ARequirementComesFromTheProxysConfiguration) {
  CheckRequest message = Get("/");
  AddExtension(&message, "someone_elses", "x");
  AddExtension(&message, "tollgate_requirement", "admin");
  const auto read = ReadCheck(message);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->request.requirement, "admin");
}

struct BadCase {
  std::string name;
  void (*spoil)(CheckRequest*);
};
class BadCheckTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadCheckTest, IsRefused) {
  CheckRequest message = Get("/");
  ASSERT_TRUE(ReadCheck(message).ok());
  GetParam().spoil(&message);
  EXPECT_EQ(base::ReasonOf(ReadCheck(message).status()), "MALFORMED_REQUEST");
}
INSTANTIATE_TEST_SUITE_P(
    Ways, BadCheckTest,
    ::testing::Values(
        BadCase{"Nothing", [](CheckRequest* m) { m->Clear(); }},
        BadCase{"NoHttp",
                [](CheckRequest* m) { m->mutable_attributes()->mutable_request()->Clear(); }},
        BadCase{"HeadersInBothForms",
                [](CheckRequest* m) {
                  AddHeader(m, "a", "b");
                  AddRaw(m, "a", "b");
                }},
        BadCase{"BothValues",
                [](CheckRequest* m) {
                  AddRaw(m, "a", "b");
                  HttpOf(m)->mutable_header_map()->mutable_headers(0)->set_value("b");
                }},
        BadCase{"AQueryBesideThePath", [](CheckRequest* m) { HttpOf(m)->set_query("x=1"); }},
        BadCase{"AMistypedExtension",
                [](CheckRequest* m) { AddExtension(m, "tollgate_requirment", "admin"); }},
        BadCase{"AnExtensionWithDashes",
                [](CheckRequest* m) { AddExtension(m, "tollgate-requirement", "admin"); }},
        BadCase{"AnExtensionInAnotherCase",
                [](CheckRequest* m) { AddExtension(m, " Tollgate_Requirement", "admin"); }},
        BadCase{"AnEmptyRequirement",
                [](CheckRequest* m) { AddExtension(m, "tollgate_requirement", ""); }},
        BadCase{"TwoRequirements",
                [](CheckRequest* m) {
                  AddExtension(m, "tollgate_requirement", "admin");
                  AddExtension(m, "tollgate_requirement", "reader");
                }}),
    [](const auto& i) { return i.param.name; });

TEST(WipeCheckTest, NothingOfTheClientsIsLeft) {
  const std::string secret = "tgw_0123456789abcdef0123456789abcdef";
  CheckRequest message = Get("/?token=" + secret);
  AddHeader(&message, "authorization", "Bearer " + secret);
  AddRaw(&message, "authorization", "Bearer " + secret);
  HttpOf(&message)->mutable_header_map()->add_headers()->set_value(secret);
  HttpOf(&message)->set_query(secret);
  HttpOf(&message)->set_body(secret);
  HttpOf(&message)->set_raw_body(secret);
  ASSERT_TRUE(absl::StrContains(message.SerializeAsString(), secret));
  const char* const map = HttpOf(&message)->headers(0).value().data();
  const char* const raw = HttpOf(&message)->header_map().headers(0).raw_value().data();
  WipeCheck(&message);
  EXPECT_FALSE(absl::StrContains(message.SerializeAsString(), "tgw_"));
  // The strings keep their memory, in which nothing is left.
  for (const char* bytes : {map, raw}) {
    EXPECT_TRUE(std::all_of(bytes, bytes + secret.size(), [](char c) { return c == 0; }));
  }
  WipeCheck(&message);  // idempotent
  CheckRequest empty;
  WipeCheck(&empty);
}

// ---- the way back

CheckResponse ToCheckResponse(const GateAnswer& answer, bool grpc) {
  CheckResponse response;
  FillCheckResponse(answer, grpc, &response);
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

TEST(FillCheckResponseTest, AnAdmittedRequestGoesOnWithItsIdentity) {
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

TEST(FillCheckResponseTest, WhoeverPassesIsNamedToTheProxy) {
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

TEST(FillCheckResponseTest, TheProxyIsToldOfAnnotations) {
  GateAnswer answer = Admitted();
  (*answer.identity.mutable_annotations())["team"] = "Über";
  (*answer.identity.mutable_annotations())["plan"] = "gold";
  const CheckResponse response = ToCheckResponse(answer, false);
  const auto& told = response.dynamic_metadata().fields().at("annotations").struct_value().fields();
  EXPECT_EQ(told.size(), 2u);
  EXPECT_EQ(told.at("team").string_value(), "Über");
  EXPECT_EQ(told.at("plan").string_value(), "gold");
}

TEST(FillCheckResponseTest, WithoutATokenNobodyIsNamed) {
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

TEST(FillCheckResponseTest, AGrpcCallersDenialKeepsTheTypeOfGrpc) {
  GateAnswer answer = Refused(401, "REVOKED");
  answer.client_headers.emplace_back("Content-Type", "application/problem+json");
  answer.client_headers.emplace_back("WWW-Authenticate", "Bearer");
  const CheckResponse response = ToCheckResponse(answer, true);
  EXPECT_EQ(response.denied_response().body(), "REVOKED");
  EXPECT_THAT(Set(response.denied_response().headers()),
              ElementsAre(Pair("cache-control", "no-store"), Pair("tollgate-decision", "17"),
                          Pair("www-authenticate", "Bearer")));
}

TEST(FillCheckResponseTest, WhatTheProxyCouldNotReadAdmitsNobody) {
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

TEST(FillCheckResponseTest, TheHostIsNeverSet) {
  GateAnswer answer = Admitted();
  answer.upstream_headers.emplace_back("Host", "internal.example");
  EXPECT_TRUE(ToCheckResponse(answer, false).has_denied_response());
}

}  // namespace
}  // namespace tollgate::validator
