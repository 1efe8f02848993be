#include "validator/shells/server.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "base/secret.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "net/credentials.h"
#include "net/error.h"
#include "prometheus/registry.h"
#include "prometheus/text_serializer.h"
#include "tests/unit/validator/shells/scripted_service.h"
#include "token/token_string.h"
#include "tollgate/v1/validation_service.grpc.pb.h"

namespace tollgate::validator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct TestToken {
  std::string id;
  std::string string;
};

class ValidatorServerTest : public ScriptedServiceTest {
 protected:
  void TearDown() override {
    server_.reset();
    ScriptedServiceTest::TearDown();
  }

  ValidatorServerOptions Options() const {
    ValidatorServerOptions options;
    options.id = "test/edge-1";
    options.service = address_;
    options.listen = {"unix:" + folder_ + "/edge.sock"};
    options.longest_backoff = absl::Milliseconds(50);
    options.cache_entries = 1024;
    options.unknown_entries = 1024;
    return options;
  }
  void StartService() { service_.Start(address_); }
  void StartValidator(const ValidatorServerOptions& options) {
    auto server = ValidatorServer::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    net::ChannelOptions channel;
    channel.own_connection = true;
    channel_ = net::MakeChannel(net::ParseAddress(server_->addresses()[0]).value(),
                                grpc::InsecureChannelCredentials(), channel);
    stub_ = v1::ValidationService::NewStub(channel_);
  }
  void StartBoth() {
    StartService();
    StartValidator(Options());
    ASSERT_TRUE(Until([&] { return Live(); }));
  }

  // Polls: what is waited for has no callback of its own.
  static bool Until(const std::function<bool()>& condition) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (!condition()) {
      if (absl::Now() > deadline) return false;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return true;
  }
  bool Live() const { return server_->status().lease == LeaseState::kLive; }

  TestToken MakeToken(v1::TokenState state = v1::TOKEN_STATE_ACTIVE, bool known = true) {
    token::TokenFormat::Minted minted =
        token::TokenFormat().Mint(token::TokenKind::kWorkspace, base::SystemRandom());
    TestToken token{minted.public_id, std::string(minted.token_string.RevealSecret())};
    if (known) SetState(token, state);
    return token;
  }
  void SetState(const TestToken& token, v1::TokenState state) {
    v1::Grant grant;
    grant.set_token("workspaces/acme/tokens/" + token.id);
    grant.set_workspace("acme");
    grant.set_token_id(token.id);
    grant.set_owner("ci");
    grant.set_state(state);
    grant.add_scopes("deploy:write");
    grant.set_create_revision(5);
    service_.AddGrant(token.string, grant);
  }

  static std::unique_ptr<grpc::ClientContext> Context() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    context->set_wait_for_ready(true);
    return context;
  }
  v1::ValidateResponse Validate(const std::string& token_string, const std::string& scope = "") {
    v1::ValidateRequest request;
    request.set_token_string(token_string);
    if (!scope.empty()) request.mutable_requirement()->add_any_scopes(scope);
    v1::ValidateResponse response;
    auto context = Context();
    const grpc::Status status = stub_->Validate(context.get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  absl::Status BatchError(const v1::BatchValidateRequest& request) {
    v1::BatchValidateResponse response;
    auto context = Context();
    return net::FromGrpcStatus(stub_->BatchValidate(context.get(), request, &response));
  }
  std::string HealthOf(const std::string& name) {
    grpc::GenericStub generic(channel_);
    // grpc.health.v1.HealthCheckRequest{service = 1}, HealthCheckResponse{status = 1}, by hand.
    std::string bytes;
    if (!name.empty()) bytes = std::string("\x0a") + static_cast<char>(name.size()) + name;
    grpc::Slice slice(bytes);
    grpc::ByteBuffer request(&slice, 1), response;
    auto context = Context();
    absl::Notification done;
    grpc::Status status;
    generic.UnaryCall(context.get(), "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request,
                      &response, [&](grpc::Status s) {
                        status = s;
                        done.Notify();
                      });
    done.WaitForNotification();
    if (!status.ok()) return "error";
    grpc::Slice answer;
    if (!response.DumpToSingleSlice(&answer).ok()) return "error";
    const std::string text(reinterpret_cast<const char*>(answer.begin()), answer.size());
    return text == "\x08\x01" ? "serving" : "not serving";
  }

  std::unique_ptr<ValidatorServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ValidationService::Stub> stub_;
};

TEST_F(ValidatorServerTest, AsksOnceThenAnswersFromMemoryUntilAnEventDropsIt) {
  StartBoth();
  const TestToken token = MakeToken();
  const v1::ValidateResponse first = Validate(token.string, "deploy:write");
  EXPECT_EQ(first.verdict(), v1::VERDICT_ADMIT);
  EXPECT_EQ(first.identity().token(), "workspaces/acme/tokens/" + token.id);
  EXPECT_EQ(first.identity().owner(), "ci");
  EXPECT_EQ(Validate(token.string).verdict(), v1::VERDICT_ADMIT);
  EXPECT_EQ(service_.seen().questions.size(), 1u);

  const v1::ValidateResponse scope = Validate(token.string, "admin");
  EXPECT_EQ(scope.verdict(), v1::VERDICT_DENY);
  EXPECT_EQ(scope.reason(), v1::VERDICT_REASON_INSUFFICIENT_SCOPE);

  SetState(token, v1::TOKEN_STATE_REVOKED);
  const int64_t revision = service_.PushChanged("acme", token.id);
  ASSERT_TRUE(service_.Wait([&](const auto& seen) { return seen.acknowledged >= revision; }));
  const v1::ValidateResponse after = Validate(token.string);
  EXPECT_EQ(after.verdict(), v1::VERDICT_DENY);
  EXPECT_EQ(after.reason(), v1::VERDICT_REASON_REVOKED);
  EXPECT_EQ(after.description(), "revoked");
  EXPECT_FALSE(after.has_identity());
  EXPECT_EQ(service_.seen().questions.size(), 2u);
}

TEST_F(ValidatorServerTest, OnlyTheDigestLeavesTheProcess) {
  StartBoth();
  const TestToken token = MakeToken();
  Validate(token.string);
  const auto questions = service_.seen().questions;
  ASSERT_EQ(questions.size(), 1u);
  EXPECT_EQ(questions[0].edge_digest(), std::string(token::EdgeDigest::Of(token.string).bytes()));
  const std::string secret = token.string.substr(4 + token::kPublicIdLength, token::kSecretLength);
  EXPECT_THAT(questions[0].SerializeAsString(), Not(HasSubstr(secret)));
  prometheus::TextSerializer serializer;
  EXPECT_THAT(serializer.Serialize(server_->registry()->Collect()), Not(HasSubstr(secret)));
}

TEST_F(ValidatorServerTest, WithoutALeaseItAdmitsNothingAndRecoversByItself) {
  service_.Set([](auto& script) { script.lease = absl::Milliseconds(700); });
  StartBoth();
  const TestToken token = MakeToken();
  ASSERT_EQ(Validate(token.string).verdict(), v1::VERDICT_ADMIT);
  ASSERT_TRUE(Until([&] { return HealthOf("tollgate.lease") == "serving"; }));
  ASSERT_TRUE(Until([&] { return HealthOf("") == "serving"; }));

  service_.Set([](auto& script) { script.pong = false; });
  ASSERT_TRUE(Until([&] { return !Live(); }));
  const v1::ValidateResponse stale = Validate(token.string);
  EXPECT_EQ(stale.verdict(), v1::VERDICT_UNAVAILABLE);
  EXPECT_EQ(stale.reason(), v1::VERDICT_REASON_NO_LEASE);
  EXPECT_GT(stale.retry_after().seconds() + stale.retry_after().nanos(), 0);
  ASSERT_TRUE(Until([&] { return HealthOf("tollgate.lease") == "not serving"; }));
  EXPECT_EQ(HealthOf("readiness"), "serving") << "a passing loss must not unready a fleet";

  service_.Set([](auto& script) {
    script.pong = true;
    script.lease = absl::Seconds(20);
  });
  ASSERT_TRUE(Until([&] { return Live(); }));
  EXPECT_EQ(Validate(token.string).verdict(), v1::VERDICT_ADMIT);
  EXPECT_EQ(service_.seen().questions.size(), 1u) << "a resume drops nothing";
}

TEST_F(ValidatorServerTest, AServiceThatIsAwayForShortIsNotNoticed) {
  StartBoth();
  const TestToken token = MakeToken();
  ASSERT_EQ(Validate(token.string).verdict(), v1::VERDICT_ADMIT);
  service_.Stop();
  EXPECT_EQ(Validate(token.string).verdict(), v1::VERDICT_ADMIT) << "inside the lease";
  const TestToken other = MakeToken();
  EXPECT_EQ(Validate(other.string).reason(), v1::VERDICT_REASON_SERVICE_UNAVAILABLE);
  const size_t hellos = service_.seen().hellos.size();
  StartService();
  ASSERT_TRUE(service_.Wait([&](const auto& seen) { return seen.hellos.size() > hellos; }));
  EXPECT_EQ(service_.seen().hellos.back().epoch(), "e1");
  EXPECT_EQ(service_.seen().hellos.back().applied_revision(), 10);
  ASSERT_TRUE(Until([&] { return Validate(other.string).verdict() == v1::VERDICT_ADMIT; }));
}

TEST_F(ValidatorServerTest, ComesBackAfterGoAwayAndAfterABrokenStream) {
  StartBoth();
  service_.GoAway();
  ASSERT_TRUE(service_.Wait([](const auto& seen) { return seen.hellos.size() == 2; }));
  service_.Disconnect();
  ASSERT_TRUE(service_.Wait([](const auto& seen) { return seen.hellos.size() == 3; }));
  const auto hellos = service_.seen().hellos;
  EXPECT_EQ(hellos[0].epoch(), "");
  EXPECT_EQ(hellos[2].epoch(), "e1");
  EXPECT_EQ(hellos[0].incarnation(), hellos[2].incarnation());
  EXPECT_EQ(hellos[0].incarnation().size(), 16u);
}

TEST_F(ValidatorServerTest, StartsWithoutItsServiceAndFindsItLater) {
  StartValidator(Options());
  const TestToken token = MakeToken();
  const v1::ValidateResponse early = Validate(token.string);
  EXPECT_EQ(early.verdict(), v1::VERDICT_UNAVAILABLE);
  EXPECT_EQ(HealthOf("readiness"), "not serving");
  EXPECT_EQ(HealthOf("liveness"), "serving");
  // What a token looks like is the service's to say (I7).
  EXPECT_EQ(Validate("not a token").verdict(), v1::VERDICT_UNAVAILABLE);
  StartService();
  ASSERT_TRUE(Until([&] { return Live(); }));
  EXPECT_EQ(Validate("not a token").reason(), v1::VERDICT_REASON_MALFORMED);
  EXPECT_EQ(Validate(token.string).verdict(), v1::VERDICT_ADMIT);
  ASSERT_TRUE(Until([&] { return HealthOf("readiness") == "serving"; }));
}

TEST_F(ValidatorServerTest, AHundredMissesOfOneTokenAskOnce) {
  StartBoth();
  const TestToken token = MakeToken();
  service_.Set([](auto& script) { script.resolve = false; });
  constexpr int kCalls = 100;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<v1::ValidateRequest> requests(kCalls);
  std::vector<v1::ValidateResponse> responses(kCalls);
  absl::BlockingCounter done(kCalls);
  for (size_t i = 0; i < kCalls; ++i) {
    contexts.push_back(Context());
    requests[i].set_token_string(token.string);
    stub_->async()->Validate(contexts[i].get(), &requests[i], &responses[i],
                             [&done](const grpc::Status& status) {
                               EXPECT_TRUE(status.ok()) << status.error_message();
                               done.DecrementCount();
                             });
  }
  EXPECT_TRUE(Until([&] { return server_->totals().misses == kCalls; }));
  service_.ReleaseQuestions();
  done.Wait();
  for (const auto& response : responses) EXPECT_EQ(response.verdict(), v1::VERDICT_ADMIT);
  EXPECT_EQ(service_.seen().questions.size(), 1u);
}

TEST_F(ValidatorServerTest, TooManyQuestionsAreRefusedAtOnceAndSlowOnesAfterTheDeadline) {
  StartService();
  ValidatorServerOptions options = Options();
  options.max_questions = 1;
  options.resolve_timeout = absl::Seconds(1);
  StartValidator(options);
  ASSERT_TRUE(Until([&] { return Live(); }));
  service_.Set([](auto& script) { script.resolve = false; });
  const TestToken slow = MakeToken();
  v1::ValidateResponse late;
  std::thread asks([&] { late = Validate(slow.string); });
  EXPECT_TRUE(service_.Wait([](const auto& seen) { return seen.questions.size() == 1; }));
  const v1::ValidateResponse refused = Validate(MakeToken().string);
  EXPECT_EQ(refused.verdict(), v1::VERDICT_UNAVAILABLE);
  EXPECT_EQ(refused.reason(), v1::VERDICT_REASON_OVERLOADED);
  asks.join();
  EXPECT_EQ(late.reason(), v1::VERDICT_REASON_SERVICE_UNAVAILABLE);
  service_.ReleaseQuestions();
  EXPECT_EQ(Validate(slow.string).verdict(), v1::VERDICT_ADMIT) << "never cached as a denial";
}

TEST_F(ValidatorServerTest, ReportsUse) {
  StartBoth();
  const TestToken token = MakeToken();
  for (int i = 0; i < 3; ++i) ASSERT_EQ(Validate(token.string).verdict(), v1::VERDICT_ADMIT);
  EXPECT_TRUE(
      service_.Wait([](const auto& seen) { return seen.uses == 3 && seen.complete_until; }));
}

TEST_F(ValidatorServerTest, SaysGoodbyeAfterItsLastDecisionAndItsLastReport) {
  service_.Set([](auto& script) { script.usage_interval = absl::Minutes(9); });
  StartBoth();
  const TestToken used = MakeToken();
  ASSERT_EQ(Validate(used.string).verdict(), v1::VERDICT_ADMIT);
  service_.Set([](auto& script) { script.resolve = false; });
  const TestToken waits = MakeToken();
  v1::ValidateResponse last;
  std::thread asks([&] { last = Validate(waits.string); });
  EXPECT_TRUE(service_.Wait([](const auto& seen) { return seen.questions.size() == 2; }));
  std::thread drains([&] { server_->Drain(absl::ZeroDuration(), absl::Seconds(20)); });
  EXPECT_TRUE(Until([&] { return !Live(); })) << "it admits nothing any more";
  service_.ReleaseQuestions();
  asks.join();
  drains.join();
  EXPECT_EQ(last.verdict(), v1::VERDICT_UNAVAILABLE) << "answered, and not admitted";
  EXPECT_THAT(service_.seen().order, ElementsAre("resolved", "resolved", "usage", "goodbye"));
}

TEST_F(ValidatorServerTest, EndsInTimeWhileTheServiceIsSilent) {
  service_.Set([](auto& script) { script.welcome = false; });
  StartService();
  StartValidator(Options());
  ASSERT_TRUE(service_.Wait([](const auto& seen) { return seen.hellos.size() == 1; }));
  const absl::Time begun = absl::Now();
  server_->Drain(absl::ZeroDuration(), absl::Milliseconds(200));
  EXPECT_LT(absl::Now() - begun, kPatience);
}

TEST_F(ValidatorServerTest, FailOpenGoesOnFromMemoryOnly) {
  service_.Set([](auto& script) { script.lease = absl::Milliseconds(700); });
  StartService();
  ValidatorServerOptions options = Options();
  options.stale_policy = v1::STALE_POLICY_FAIL_OPEN;
  StartValidator(options);
  ASSERT_TRUE(Until([&] { return Live(); }));
  const TestToken token = MakeToken();
  ASSERT_EQ(Validate(token.string).verdict(), v1::VERDICT_ADMIT);
  service_.Stop();
  ASSERT_TRUE(Until([&] { return server_->status().lease == LeaseState::kFailOpen; }));
  EXPECT_EQ(Validate(token.string).verdict(), v1::VERDICT_ADMIT);
  EXPECT_GE(server_->totals().admitted_fail_open, 1);
  EXPECT_EQ(service_.seen().hellos[0].stale_policy(), v1::STALE_POLICY_FAIL_OPEN);
}

TEST_F(ValidatorServerTest, ABatchIsDecidedOneByOne) {
  StartBoth();
  const TestToken good = MakeToken();
  const TestToken revoked = MakeToken(v1::TOKEN_STATE_REVOKED);
  const TestToken unknown = MakeToken(v1::TOKEN_STATE_ACTIVE, /*known=*/false);
  v1::BatchValidateRequest request;
  for (const std::string& text :
       {good.string, revoked.string, unknown.string, std::string(), std::string("tgw_nonsense")}) {
    request.add_requests()->set_token_string(text);
  }
  v1::BatchValidateResponse response;
  auto context = Context();
  ASSERT_TRUE(stub_->BatchValidate(context.get(), request, &response).ok());
  std::vector<v1::VerdictReason> reasons;
  for (const auto& one : response.responses()) reasons.push_back(one.reason());
  EXPECT_THAT(reasons, ElementsAre(v1::VERDICT_REASON_UNSPECIFIED, v1::VERDICT_REASON_REVOKED,
                                   v1::VERDICT_REASON_UNKNOWN, v1::VERDICT_REASON_NO_TOKEN,
                                   v1::VERDICT_REASON_MALFORMED));
}

TEST_F(ValidatorServerTest, BadInputIsRefusedByField) {
  StartBoth();
  const TestToken token = MakeToken();
  EXPECT_EQ(Validate(std::string(1 << 19, 'x')).reason(), v1::VERDICT_REASON_MALFORMED);
  EXPECT_EQ(Validate(token.string + "x").reason(), v1::VERDICT_REASON_MALFORMED);

  v1::BatchValidateRequest batch;
  EXPECT_EQ(base::ReasonOf(BatchError(batch)), "BATCH_SIZE");
  for (int i = 0; i < 257; ++i) batch.add_requests()->set_token_string(token.string);
  EXPECT_EQ(BatchError(batch).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(base::ReasonOf(BatchError(batch)), "BATCH_SIZE");

  batch.clear_requests();
  batch.add_requests()->set_token_string(token.string);
  auto* requirement = batch.add_requests()->mutable_requirement();
  for (int i = 0; i < 65; ++i) requirement->add_any_scopes("a");
  const absl::Status error = BatchError(batch);
  EXPECT_EQ(base::ReasonOf(error), "REQUIREMENT_TOO_LARGE");
  ASSERT_EQ(base::DetailsOf(error).fields.size(), 1u);
  EXPECT_EQ(base::DetailsOf(error).fields[0].field, "requests[1].requirement.any_scopes");
  EXPECT_THAT(service_.seen().questions, IsEmpty()) << "nothing of a refused batch is decided";

  grpc::GenericStub generic(channel_);
  grpc::Slice slice("\xff\xff\xff");
  grpc::ByteBuffer garbage(&slice, 1), response;
  auto context = Context();
  absl::Notification done;
  grpc::Status status;
  generic.UnaryCall(context.get(), "/tollgate.v1.ValidationService/Validate", grpc::StubOptions(),
                    &garbage, &response, [&](grpc::Status s) {
                      status = s;
                      done.Notify();
                    });
  done.WaitForNotification();
  EXPECT_EQ(base::ReasonOf(net::FromGrpcStatus(status)), "MALFORMED_REQUEST");
}

TEST_F(ValidatorServerTest, CountsWhatItDoes) {
  StartBoth();
  const TestToken token = MakeToken();
  Validate(token.string);
  Validate(token.string);
  Validate("tgw_nonsense");
  prometheus::TextSerializer serializer;
  const std::string text = serializer.Serialize(server_->registry()->Collect());
  for (const char* line :
       {"tollgate_validator_decisions_total{verdict=\"admit\",reason=\"none\"} 2",
        "tollgate_validator_decisions_total{verdict=\"deny\",reason=\"malformed\"} 1",
        "tollgate_validator_decisions_total{verdict=\"unavailable\",reason=\"no_lease\"} 0",
        "tollgate_validator_front_answers_total{front=\"native\",verdict=\"admit\"} 2",
        "tollgate_validator_front_answers_total{front=\"native\",verdict=\"deny\"} 1",
        "tollgate_validator_front_answers_total{front=\"native\",verdict=\"unavailable\"} 0",
        "tollgate_validator_front_answers_total{front=\"native\",verdict=\"refused\"} 0",
        "tollgate_validator_lease_live 1", "tollgate_validator_cache_entries 1",
        "tollgate_validator_cache_misses_total 1", "tollgate_validator_resets_total 1",
        "tollgate_validator_applied_revision 10", "tollgate_validator_resolve_seconds_count 1",
        "tollgate_validator_resolve_errors_total{code=\"UNAVAILABLE\"} 0"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST_F(ValidatorServerTest, StartErrorsHaveTheirExitCodes) {
  StartValidator(Options());
  const auto refused = [&](const std::function<void(ValidatorServerOptions&)>& change) {
    ValidatorServerOptions options = Options();
    options.listen = {"127.0.0.1:0"};
    change(options);
    return ValidatorServer::Start(options).status();
  };
  const auto taken = refused([&](auto& o) { o.listen = server_->addresses(); });
  EXPECT_EQ(base::ReasonOf(taken), "ADDRESS_IN_USE");
  EXPECT_EQ(ValidatorExitCodeFor(taken), 3);
  const auto id = refused([](auto& o) { o.id = "no spaces"; });
  EXPECT_EQ(base::ReasonOf(id), "VALIDATOR_ID_MALFORMED");
  EXPECT_EQ(ValidatorExitCodeFor(id), 2);
  const auto listen = refused([](auto& o) { o.listen = {"0.0.0.0:0"}; });
  EXPECT_EQ(base::ReasonOf(listen), "PLAINTEXT_REFUSED");
  EXPECT_EQ(ValidatorExitCodeFor(listen), 4);
  const auto service = refused([](auto& o) { o.service = "tollgated.example:7411"; });
  EXPECT_EQ(base::ReasonOf(service), "PLAINTEXT_REFUSED");
  const auto drift = refused([](auto& o) { o.drift_bound = 0.5; });
  EXPECT_EQ(base::ReasonOf(drift), "BAD_FLAG");
}

TEST_F(ValidatorServerTest, WhatIsOutOfItsBoundsIsRefusedByTheFlagsName) {
  const auto fail_open_for = [](absl::Duration time) {
    return [time](ValidatorServerOptions& o) {
      o.stale_policy = v1::STALE_POLICY_FAIL_OPEN;
      o.fail_open_for = time;
    };
  };
  const std::pair<std::function<void(ValidatorServerOptions&)>, const char*> table[] = {
      {[](auto& o) { o.listen.clear(); }, "--listen: at least one address is needed"},
      {[](auto& o) { o.drift_bound = -0.1; }, "--drift-bound: must be 0 to 0.1"},
      {fail_open_for(absl::ZeroDuration()), "--fail-open-for: must be above 0, and at most 24h"},
      {fail_open_for(absl::Hours(25)), "--fail-open-for: must be above 0, and at most 24h"},
      {[](auto& o) { o.cache_entries = 0; }, "--cache-entries: must be 1 to 16777216"},
      {[](auto& o) { o.unknown_entries = (1 << 24) + 1; },
       "--unknown-entries: must be 1 to 16777216"},
      {[](auto& o) { o.max_questions = -1; }, "--max-questions: must be at least 1"},
      {[](auto& o) { o.max_waiting = 0; }, "--max-waiting: must be at least 1"},
      {[](auto& o) { o.max_holds = -1; }, "--max-holds: must be 0 to 10000000"},
      {[](auto& o) { o.holds_outlive_lease = absl::Hours(25); },
       "--holds-outlive-lease: must be 0 to 24h"},
      {[](auto& o) { o.resolve_timeout = absl::ZeroDuration(); },
       "--resolve-timeout: must be above 0"},
      {[](auto& o) { o.longest_backoff = -absl::Seconds(1); },
       "--longest-backoff: must be above 0"},
  };
  for (const auto& [spoil, message] : table) {
    ValidatorServerOptions options = Options();
    spoil(options);
    const absl::Status refused = ValidatorServer::Start(options).status();
    EXPECT_EQ(std::string(refused.message()), message);
    EXPECT_EQ(base::ReasonOf(refused), "BAD_FLAG") << message;
    EXPECT_EQ(ValidatorExitCodeFor(refused), kValidatorExitUsage) << message;
  }
}

}  // namespace
}  // namespace tollgate::validator
