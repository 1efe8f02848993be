// The front for Envoy over the wire, in front of a core whose service the test plays.
#include "validator/fronts/ext_authz.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/notification.h"
#include "envoy/service/auth/v3/external_auth.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "policy/policy.h"
#include "tests/unit/validator/fronts/played_edge.h"

namespace tollgate::validator {
namespace {

using envoy::service::auth::v3::Authorization;
using envoy::service::auth::v3::CheckRequest;
using envoy::service::auth::v3::CheckResponse;
using nlohmann::json;
using ::testing::Contains;

constexpr absl::Duration kPatience = absl::Seconds(30);

class TestHost : public FrontHost {
 public:
  explicit TestHost(grpc::ServerBuilder* builder) : builder_(*builder) {}
  void AddGrpcService(grpc::Service* service, const std::string& health_name) override {
    EXPECT_EQ(health_name, "envoy.service.auth.v3.Authorization");
    builder_.RegisterService(service);
  }

 private:
  grpc::ServerBuilder& builder_;
};

// A server with the front, and a client of it.
class Served {
 public:
  Served(PlayedEdge* edge, const PolicySource* policies)
      : gate_(edge->validator(), policies, edge->random()), front_(&gate_) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 128 << 10);
    TestHost host(&builder);
    front_.RegisterOn(&host);
    server_ = builder.BuildAndStart();
    stub_ = Authorization::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
  }
  ~Served() { server_->Shutdown(std::chrono::system_clock::now()); }

  // Fails where the call does: it never may.
  CheckResponse Ask(const CheckRequest& request, absl::Duration timeout = kPatience,
                    size_t metadata = 0) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    if (metadata > 0) context.AddMetadata("filler", std::string(metadata, 'x'));
    CheckResponse response;
    const grpc::Status status = stub_->Check(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_code() << " " << status.error_message();
    EXPECT_NE(response.has_ok_response(), response.has_denied_response());
    EXPECT_EQ(response.status().code() == 0, response.has_ok_response());
    return response;
  }
  Authorization::Stub& stub() { return *stub_; }
  FrontTotals totals() const { return front_.totals(); }

 private:
  Gate gate_;
  ExtAuthzFront front_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Authorization::Stub> stub_;
};

CheckRequest Get(const std::string& token) {
  CheckRequest request;
  auto* http = request.mutable_attributes()->mutable_request()->mutable_http();
  http->set_method("GET");
  http->set_host("api.example");
  http->set_path("/v1/a?b=c");
  if (token.empty()) return request;
  auto* entry = http->add_headers();
  entry->set_key("authorization");
  entry->set_value("Bearer " + token);
  return request;
}

int StatusOf(const CheckResponse& response) {
  return response.has_ok_response() ? 200 : response.denied_response().status().code();
}

class ExtAuthzTest : public ::testing::Test {
 protected:
  PlayedEdge edge_;
  PlayedPolicySource source_;
  Served served_{&edge_, &source_};
};

TEST_F(ExtAuthzTest, AdmitsByAskingAndFromMemory) {
  const std::string token = edge_.Mint();
  for (int i = 0; i < 2; ++i) {
    const CheckResponse response = served_.Ask(Get(token));
    ASSERT_TRUE(response.has_ok_response());
    EXPECT_EQ(response.dynamic_metadata().fields().at("workspace").string_value(), "acme");
    EXPECT_THAT(response.ok_response().headers_to_remove(), Contains("authorization"));
  }
  EXPECT_EQ(edge_.questions(), 1);
  edge_.Revoke(token);
  const CheckResponse refused = served_.Ask(Get(token));
  EXPECT_EQ(StatusOf(refused), 401);
  EXPECT_EQ(refused.status().message(), "REVOKED");
  EXPECT_EQ(served_.totals().admitted, 2);
  EXPECT_EQ(served_.totals().denied, 1);
}

TEST_F(ExtAuthzTest, ThePolicySeesTheRequest) {
  std::vector<std::string> seen;
  source_.policy->judge_ = [&seen](const policy::Request& request, policy::Judgement*) {
    seen = {std::string(request.method), std::string(request.host), std::string(request.target),
            std::string(request.requirement)};
    for (const auto& [name, value] : request.headers)
      seen.push_back(absl::StrCat(name, "=", value));
  };
  CheckRequest request = Get("");
  auto* extension = request.mutable_attributes()->add_context_extensions();
  extension->set_key("tollgate_requirement");
  extension->set_value("admin");
  auto* header = request.mutable_attributes()->mutable_request()->mutable_http()->add_headers();
  header->set_key("x-note");
  header->set_value("n");
  EXPECT_EQ(StatusOf(served_.Ask(request)), 401);
  EXPECT_EQ(absl::StrJoin(seen, " "), "GET api.example /v1/a?b=c admin x-note=n");
}

TEST_F(ExtAuthzTest, WhatCannotBeReadIsDeniedAndNoCallFails) {
  const std::string token = edge_.Mint();
  CheckRequest both = Get(token);
  both.mutable_attributes()->mutable_request()->mutable_http()->mutable_header_map()->add_headers();
  CheckRequest broken;  // on the wire: a body that is no message
  broken.mutable_attributes()
      ->GetReflection()
      ->MutableUnknownFields(broken.mutable_attributes())
      ->AddLengthDelimited(4, std::string("\x12\x7f", 2));
  for (const CheckRequest& request : {CheckRequest(), both, broken}) {
    const CheckResponse response = served_.Ask(request);
    EXPECT_EQ(StatusOf(response), 503);
    EXPECT_EQ(response.status().message(), "MALFORMED_REQUEST");
    EXPECT_EQ(response.status().code(), 14);
  }
  const CheckResponse response = served_.Ask(Get(token), kPatience, 32 << 10);
  EXPECT_EQ(StatusOf(response), 503);
  EXPECT_EQ(response.status().message(), "METADATA_TOO_LARGE");
  CheckRequest large = Get(token);
  large.mutable_attributes()->mutable_request()->mutable_http()->set_raw_body(
      std::string(kMostCheckBytes, 'x'));
  EXPECT_EQ(served_.Ask(large).status().message(), "REQUEST_TOO_LARGE");
  EXPECT_EQ(served_.totals().refused, 5);
  EXPECT_EQ(edge_.questions(), 0);
}

TEST_F(ExtAuthzTest, WithoutALeaseItIsADenialToo) {
  PlayedEdge stale(/*live=*/false);
  Served served(&stale, &source_);
  const CheckResponse response = served.Ask(Get(stale.Mint()));
  EXPECT_EQ(StatusOf(response), 503);
  EXPECT_EQ(response.status().message(), "NO_LEASE");
  EXPECT_EQ(served.totals().unavailable, 1);
}

TEST_F(ExtAuthzTest, ADenialComesBeforeTheProxyGivesUp) {
  const std::string token = edge_.Mint();
  edge_.Hold();
  const CheckResponse response = served_.Ask(Get(token), absl::Seconds(2));
  EXPECT_EQ(StatusOf(response), 503);
  EXPECT_EQ(response.status().message(), "SERVICE_UNAVAILABLE");
  // The answer that comes late is kept, and given to the next one.
  edge_.AnswerAll();
  EXPECT_EQ(StatusOf(served_.Ask(Get(token))), 200);
  EXPECT_EQ(edge_.questions(), 1);
}

TEST_F(ExtAuthzTest, AnAnswerInTimeIsGivenWithoutAWait) {
  const std::string token = edge_.Mint();
  edge_.Hold();
  CheckResponse response;
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  const CheckRequest request = Get(token);
  absl::Notification done;
  served_.stub().async()->Check(&context, &request, &response,
                                [&](const grpc::Status&) { done.Notify(); });
  const absl::Time deadline = absl::Now() + kPatience;
  while (edge_.questions() == 0 && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(1));
  edge_.AnswerAll();
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(kPatience / 2));
  EXPECT_EQ(StatusOf(response), 200);
}

TEST(TimeToAnswerTest, IsALittleLess) {
  EXPECT_EQ(TimeToAnswer(absl::Milliseconds(50)), absl::Milliseconds(40));
  EXPECT_EQ(TimeToAnswer(absl::Milliseconds(250)), absl::Milliseconds(200));
  EXPECT_EQ(TimeToAnswer(absl::Seconds(600)), absl::Seconds(599));
  EXPECT_EQ(TimeToAnswer(absl::ZeroDuration()), absl::ZeroDuration());
  EXPECT_EQ(TimeToAnswer(-absl::Seconds(1)), absl::ZeroDuration());
}

// ---- the table of known bypasses (tests/unit/policy), through this front

class FixedPolicy : public PolicySource {
 public:
  explicit FixedPolicy(std::shared_ptr<const policy::Policy> policy) : policy_(std::move(policy)) {}
  std::shared_ptr<const policy::Policy> Current() const override { return policy_; }

 private:
  const std::shared_ptr<const policy::Policy> policy_;
};

// How Envoy tells a request: each line by itself, or as a map in which lines of one name are
// joined.
class BypassTest : public ::testing::TestWithParam<bool> {
 protected:
  BypassTest() {
    std::ifstream file(TOLLGATE_SOURCE_DIR "/tests/unit/policy/bypasses.json");
    table_ = json::parse(file);
    std::string text;
    for (const json& line : table_["policy"]) {
      absl::StrAppend(&text, line.get<std::string>(), "\n");
    }
    policies_ = std::make_unique<FixedPolicy>(policy::Policy::Parse(text, "bypasses.yaml").value());
    served_ = std::make_unique<Served>(&edge_, policies_.get());
    for (std::string* token : {&token_, &other_}) {
      *token = edge_.Mint([](tollgate::v1::Grant* grant) {
        grant->clear_scopes();
        grant->add_scopes("items:read");
      });
    }
  }

  CheckResponse Play(const json& sent) {
    const auto filled = [this](const json& text) {
      return absl::StrReplaceAll(text.get<std::string>(),
                                 {{"{token}", token_}, {"{other}", other_}});
    };
    CheckRequest request;
    auto* http = request.mutable_attributes()->mutable_request()->mutable_http();
    http->set_method(sent.value("method", "GET"));
    http->set_host(sent.value("host", "api.example"));
    http->set_path(filled(sent["target"]));
    std::vector<std::pair<std::string, std::string>> lines = {{":path", http->path()}};
    if (sent.value("token", true)) lines.emplace_back("authorization", "Bearer " + token_);
    for (const json& header : sent.value("headers", json::array())) {
      lines.emplace_back(absl::AsciiStrToLower(header[0].get<std::string>()), filled(header[1]));
    }
    for (const auto& [name, value] : lines) {
      if (GetParam()) {
        auto* line = http->mutable_header_map()->add_headers();
        line->set_key(name);
        line->set_raw_value(value);
        continue;
      }
      auto* held = http->mutable_headers();
      const auto same = std::find_if(held->begin(), held->end(),
                                     [&](const auto& entry) { return entry.key() == name; });
      if (same != held->end()) {
        same->set_value(absl::StrCat(same->value(), ",", value));
        continue;
      }
      auto* entry = http->add_headers();
      entry->set_key(name);
      entry->set_value(value);
    }
    return served_->Ask(request);
  }
  // The client's own does not go on: it is removed, or another is set in its place.
  static bool IsReplaced(const CheckResponse& response, const std::string& name) {
    const auto& ok = response.ok_response();
    for (const std::string& removed : ok.headers_to_remove()) {
      if (removed == name) return true;
    }
    return std::any_of(ok.headers().begin(), ok.headers().end(), [&](const auto& option) {
      return option.header().key() == name && option.append_action() == 2;
    });
  }
  static std::string OutcomeOf(const CheckResponse& response) {
    return response.has_ok_response() ? "admit" : response.status().message();
  }

  json table_;
  PlayedEdge edge_;
  std::unique_ptr<FixedPolicy> policies_;
  std::unique_ptr<Served> served_;
  std::string token_;
  std::string other_;
};
INSTANTIATE_TEST_SUITE_P(Headers, BypassTest, ::testing::Values(false, true),
                         [](const auto& i) { return i.param ? "Raw" : "Map"; });

TEST_P(BypassTest, NoneGetsThrough) {
  int played = 0;
  int admitted = 0;
  for (const json& bypass : table_["cases"]) {
    SCOPED_TRACE(bypass["name"].get<std::string>());
    if (bypass.contains("after")) {
      EXPECT_EQ(OutcomeOf(Play(bypass["after"])), "admit");
    }
    const CheckResponse response = Play(bypass);
    EXPECT_EQ(OutcomeOf(response), bypass["want"].get<std::string>());
    for (const json& header : bypass.value("drop", json::array())) {
      EXPECT_TRUE(IsReplaced(response, header)) << header;
    }
    ++played;
    admitted += response.has_ok_response();
  }
  EXPECT_GT(played, 100);
  EXPECT_GT(admitted, 5);
}

}  // namespace
}  // namespace tollgate::validator
