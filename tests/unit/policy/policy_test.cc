// A policy's judgement of requests.
#include "policy/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate::policy {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;
using Kind = Judgement::Kind;

std::shared_ptr<const Policy> Parse(const std::string& text) {
  absl::StatusOr<std::shared_ptr<const Policy>> policy = Policy::Parse(text, "edge.yaml");
  EXPECT_TRUE(policy.ok()) << policy.status().message();
  return policy.ok() ? *policy : nullptr;
}

// A request with what matters here.
struct Sent {
  std::string method = "GET";
  std::string target = "/";
  std::vector<Header> headers;
  std::string host = "api.example";
  std::string requirement;
  base::IpAddress client;
};

Judgement Judge(const Policy& policy, const Sent& sent) {
  Request request;
  request.method = sent.method;
  request.host = sent.host;
  request.target = sent.target;
  request.headers = sent.headers;
  request.requirement = sent.requirement;
  request.client = sent.client;
  return policy.Judge(request);
}

TEST(Policy, TellsWhatARequestNeeds) {
  const auto policy = Parse(R"(version: 1
routes:
  - path: /open
    needs: public
  - path: /v1/{workspace}/items/{id}
    needs: {any: [items:read, admin], all: [a], scopes: b OR c, audience: items,
            workspace: "{workspace}"}
  - path: /maybe
    needs: {optional: true}
)");
  Judgement open = Judge(*policy, {.target = "/open"});
  EXPECT_EQ(open.kind, Kind::kOpen);
  EXPECT_EQ(open.route->name, "route 1");

  Judgement guarded = Judge(
      *policy, {.target = "/v1/ac%6de/items/7/?q", .headers = {{"Authorization", "Bearer t"}}});
  ASSERT_EQ(guarded.kind, Kind::kGuarded) << guarded.description;
  EXPECT_EQ(guarded.route->line, 5);
  EXPECT_EQ(guarded.credential.RevealSecret(), "t");
  EXPECT_FALSE(guarded.optional);
  EXPECT_THAT(guarded.requirement.any_scopes, ElementsAre("items:read", "admin"));
  EXPECT_THAT(guarded.requirement.all_scopes, ElementsAre("a"));
  EXPECT_EQ(guarded.requirement.scope_expression.text(), "b OR c");
  EXPECT_EQ(guarded.requirement.audience, "items");
  EXPECT_EQ(guarded.requirement.workspace, "acme") << "as the path says, decoded";

  Judgement optional = Judge(*policy, {.target = "/maybe"});
  EXPECT_EQ(optional.kind, Kind::kGuarded);
  EXPECT_TRUE(optional.optional);
  EXPECT_TRUE(optional.credential.empty());

  EXPECT_EQ(policy->routes().size(), 3);
  EXPECT_EQ(policy->routes()[2].name, "route 3");
}

TEST(Policy, WhatNoRouteTakesIsRefused) {
  const std::string routes = "version: 1\nroutes:\n- {path: /a, needs: token}\n";
  const Judgement refused = Judge(*Parse(routes), {.target = "/b"});
  EXPECT_EQ(refused.kind, Kind::kRefused);
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.reason, "NO_ROUTE");
  EXPECT_EQ(refused.route, nullptr);
  EXPECT_EQ(Judge(*Parse(routes + "otherwise: refuse\n"), {.target = "/b"}).status, 403);
  EXPECT_EQ(Judge(*Parse(routes + "otherwise: not_found\n"), {.target = "/b"}).status, 404);
  const auto token = Parse(routes + "otherwise: {any: x}\n");
  const Judgement guarded = Judge(*token, {.target = "/b"});
  EXPECT_EQ(guarded.kind, Kind::kGuarded);
  EXPECT_EQ(guarded.route->name, "otherwise");
  EXPECT_THAT(guarded.requirement.any_scopes, ElementsAre("x"));
  EXPECT_EQ(Judge(*Parse(routes + "otherwise: public\n"), {.target = "/b"}).kind, Kind::kOpen);
}

TEST(Policy, ARequirementStandsInPlaceOfTheRoutes) {
  const auto policy = Parse(R"(version: 1
requirements:
  deploy: {any: deploy:write, workspace: acme}
routes:
  - {host: api.example, needs: public}
)");
  const Judgement named = Judge(*policy, {.target = "/any", .requirement = "deploy"});
  EXPECT_EQ(named.kind, Kind::kGuarded);
  EXPECT_EQ(named.route->name, "requirement deploy");
  EXPECT_EQ(named.route->line, 3);
  EXPECT_THAT(named.requirement.any_scopes, ElementsAre("deploy:write"));
  EXPECT_EQ(named.requirement.workspace, "acme");
  const Judgement unknown = Judge(*policy, {.target = "/any", .requirement = "deplo"});
  EXPECT_EQ(unknown.kind, Kind::kRefused);
  EXPECT_EQ(unknown.status, 403);
  EXPECT_EQ(unknown.reason, "REQUIREMENT_UNKNOWN");
  EXPECT_EQ(Judge(*policy, {.target = "/a/../b", .requirement = "deploy"}).reason,
            "PATH_AMBIGUOUS");
  EXPECT_EQ(Judge(*policy, {.target = "/", .host = "", .requirement = "deploy"}).kind,
            Kind::kGuarded)
      << "no route is asked for its host";
}

TEST(Policy, HostsOfTargetAndRequestAgree) {
  const auto policy = Parse("version: 1\nroutes:\n- {host: api.example, needs: token}\n");
  const auto reason = [&](const std::string& host, const std::string& target) {
    const Judgement judgement = Judge(*policy, {.target = target, .host = host});
    return judgement.kind == Kind::kGuarded ? "" : std::string(judgement.reason);
  };
  EXPECT_EQ(reason("API.example:443", "/"), "");
  EXPECT_EQ(reason("api.example", "http://API.example/"), "");
  EXPECT_EQ(reason("api.example:80", "http://api.example/"), "");
  EXPECT_EQ(reason("api.example", "https://api.example:443/"), "");
  EXPECT_EQ(reason("api.example", "http://api.example:443/"), "HOST_AMBIGUOUS");
  EXPECT_EQ(reason("api.example", "http://other.example/"), "HOST_AMBIGUOUS");
  EXPECT_EQ(reason("", "http://api.example/"), "HOST_AMBIGUOUS");
  EXPECT_EQ(reason("", "/"), "HOST_MISSING");
  EXPECT_EQ(reason("other.example", "/"), "NO_ROUTE");
  const auto any = Parse("version: 1\nroutes:\n- {path: /, needs: token}\n");
  EXPECT_EQ(Judge(*any, {.host = ""}).kind, Kind::kGuarded) << "no route asks for a host";
}

TEST(Policy, TakesTheCredentialAway) {
  const std::string routes =
      "version: 1\ncredentials: [bearer, {header: x-key}, {query: t}]\n"
      "routes:\n- {path: /, needs: token}\n- {path: /maybe, needs: {optional: true}}\n";
  const auto removes = Parse(routes);
  EXPECT_THAT(Judge(*removes, {.headers = {{"Authorization", "Bearer a"}}}).drop_headers,
              Contains("authorization"));
  EXPECT_THAT(Judge(*removes, {.headers = {{"X-KEY", "a"}}}).drop_headers, Contains("x-key"));
  EXPECT_THAT(Judge(*removes, {.target = "/?t=a"}).drop_query, ElementsAre("t"));
  const Judgement other =
      Judge(*removes, {.target = "/maybe", .headers = {{"Authorization", "Basic YTpi"}}});
  EXPECT_EQ(other.kind, Kind::kGuarded);
  EXPECT_TRUE(other.credential.empty());
  EXPECT_THAT(other.drop_headers, Not(Contains("authorization"))) << "the service's own";
  const auto keeps = Parse(routes + "upstream: {credential: keep}\n");
  EXPECT_THAT(Judge(*keeps, {.headers = {{"Authorization", "Bearer a"}}}).drop_headers,
              Not(Contains("authorization")));
  EXPECT_THAT(Judge(*keeps, {.target = "/?t=a"}).drop_query, ElementsAre("t"))
      << "a URL is written to logs";
}

TEST(Policy, TakesForeignIdentityAway) {
  const auto policy = Parse(R"(version: 1
upstream:
  identity: {workspace: x-workspace, annotation.team: x-team}
routes:
  - {path: /open, needs: public}
  - {path: /, needs: {optional: true}}
)");
  for (const std::string target : {"/", "/open"}) {
    EXPECT_THAT(Judge(*policy, {.target = target}).drop_headers,
                ElementsAre("x-workspace", "x-team"))
        << "also where the front did not see it";
    EXPECT_THAT(Judge(*policy, {.target = target,
                                .headers = {{"X-Workspace", "a"},
                                            {"X_WORKSPACE", "b"},
                                            {"x-workspace", "c"},
                                            {"X-Tollgate-Owner", "d"},
                                            {"X_Team", "gold"},
                                            {"X-Workspaces", "e"},
                                            {"X-Original-URL", "/f"}}})
                    .drop_headers,
                UnorderedElementsAre("x-workspace", "x-team", "x_workspace", "x_team",
                                     "x-tollgate-owner", "x-original-url"));
  }
}

TEST(Policy, TheClientIsWhomTheProxySawAndNotWhomTheClientNames) {
  const base::IpAddress peer = base::IpAddress::FromText("192.0.2.1");
  const auto from = [&peer](absl::string_view line, std::vector<Header> headers) {
    const auto policy = Parse(absl::StrCat("version: 1\n", line, "routes: [{needs: token}]\n"));
    return Judge(*policy, {.headers = headers, .client = peer}).client.text();
  };
  // No header is believed that the policy does not name.
  EXPECT_EQ(from("", {{"X-Forwarded-For", "198.51.100.1"}, {"X-Real-IP", "198.51.100.2"}}),
            "192.0.2.1");
  const absl::string_view named = "client_address: X-Forwarded-For\n";
  EXPECT_EQ(from(named, {{"x-forwarded-for", "198.51.100.1"}}), "198.51.100.1");
  // What the client sent stands before what the proxy appends, on one line or on several.
  EXPECT_EQ(from(named, {{"X-Forwarded-For", "203.0.113.9, 203.0.113.8,\t198.51.100.1 "}}),
            "198.51.100.1");
  EXPECT_EQ(from(named, {{"X-Forwarded-For", "203.0.113.9"}, {"X-Forwarded-For", "198.51.100.1"}}),
            "198.51.100.1");
  EXPECT_EQ(from(named, {{"X_Forwarded_For", "203.0.113.9"}, {"x-real-ip", "203.0.113.8"}}),
            "192.0.2.1");
  EXPECT_EQ(from(named, {{"X-Forwarded-For", "203.0.113.9, unknown"}}), "");
  EXPECT_EQ(from(named, {{"X-Forwarded-For", ""}}), "");
  EXPECT_EQ(from(named, {}), "192.0.2.1");
}

TEST(Policy, AnotherCaseOfAPathIsRefusedUnlessTheServicesTellIt) {
  const std::string routes =
      "version: 1\nroutes:\n- {path: /Admin, needs: {any: admin}}\n- {prefix: /, needs: public}\n";
  EXPECT_EQ(Judge(*Parse(routes), {.target = "/Admin"}).kind, Kind::kGuarded);
  EXPECT_EQ(Judge(*Parse(routes), {.target = "/admin"}).reason, "PATH_AMBIGUOUS");
  EXPECT_EQ(Judge(*Parse(routes), {.target = "/x"}).kind, Kind::kOpen);
  const auto sensitive = Parse(routes + "path_case: sensitive\n");
  EXPECT_EQ(Judge(*sensitive, {.target = "/admin"}).kind, Kind::kOpen);
}

TEST(Policy, MethodsAreTakenAsTheyAre) {
  const auto policy = Parse(
      "version: 1\nroutes:\n- {path: /a, methods: [GET, REPORT], needs: token}\n"
      "- {methods: OPTIONS, needs: public}\n- {grpc: /a.B/C, needs: token}\n");
  const auto reason = [&](const std::string& method, const std::string& target,
                          std::vector<Header> headers = {}) {
    return std::string(
        Judge(*policy, {.method = method, .target = target, .headers = std::move(headers)}).reason);
  };
  EXPECT_EQ(reason("GET", "/a"), "");
  EXPECT_EQ(reason("HEAD", "/a"), "") << "HEAD is answered as GET is";
  EXPECT_EQ(reason("REPORT", "/a"), "");
  EXPECT_EQ(reason("POST", "/a"), "NO_ROUTE");
  EXPECT_EQ(reason("OPTIONS", "*"), "");
  EXPECT_EQ(reason("POST", "/a.B/C"), "");
  EXPECT_EQ(reason("get", "/a"), "METHOD_AMBIGUOUS");
  EXPECT_EQ(reason("Get", "/a"), "METHOD_AMBIGUOUS");
  EXPECT_EQ(reason("", "/a"), "METHOD_MALFORMED");
  EXPECT_EQ(reason("G T", "/a"), "METHOD_MALFORMED");
  EXPECT_EQ(reason(std::string(33, 'A'), "/a"), "METHOD_MALFORMED");
  EXPECT_EQ(reason("CONNECT", "/a"), "METHOD_AMBIGUOUS");
  EXPECT_EQ(reason("CONNECT", "api.example:443"), "METHOD_AMBIGUOUS");
  EXPECT_EQ(reason("GET", "/a", {{"x-http-method-override", "POST"}}), "METHOD_AMBIGUOUS");
  EXPECT_EQ(reason("GET", "/a", {{"X-HTTP-Method-Override", "GET"}}), "");
}

TEST(Policy, RefusesBeforeItAsks) {
  const auto policy = Parse(
      "version: 1\ncredentials: [bearer, {header: x-key}]\nroutes:\n"
      "- {path: /, needs: token}\n- {path: /open, needs: public}\n");
  const std::vector<Header> two = {{"Authorization", "Bearer a"}, {"x-key", "b"}};
  const Judgement refused = Judge(*policy, {.headers = two});
  EXPECT_EQ(refused.kind, Kind::kRefused);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.reason, "SEVERAL_CREDENTIALS");
  EXPECT_TRUE(refused.credential.empty());
  EXPECT_EQ(refused.route->name, "route 1") << "for the log";
  EXPECT_EQ(Judge(*policy, {.target = "/open", .headers = two}).kind, Kind::kOpen)
      << "what needs no token does not look at one";
}

TEST(Policy, HasAFingerprintOfItsText) {
  const std::string text = "version: 1\notherwise: token\n";
  const std::string fingerprint = Parse(text)->fingerprint();
  EXPECT_EQ(fingerprint.size(), 12);
  EXPECT_EQ(Parse(text)->fingerprint(), fingerprint);
  EXPECT_NE(Parse(text + "# x\n")->fingerprint(), fingerprint);
}

TEST(Policy, ABadOneIsRefusedWhole) {
  const auto bad = Policy::Parse("version: 1\nroutes:\n- {path: /a}\n", "edge.yaml");
  EXPECT_EQ(base::ReasonOf(bad.status()), "POLICY_INVALID");
  EXPECT_THAT(std::string(bad.status().message()), testing::StartsWith("edge.yaml:3: route 1: "));
}

}  // namespace
}  // namespace tollgate::policy
