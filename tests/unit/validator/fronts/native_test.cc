// The native front alone: over the wire, in front of a core whose service the test plays.
#include "validator/fronts/native.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "base/secret.h"
#include "base/status.h"
#include "gtest/gtest.h"
#include "net/error.h"
#include "tests/unit/validator/core/edge_fixture.h"
#include "token/digest.h"
#include "token/field_rules.h"
#include "token/scope_expression.h"

namespace tollgate::validator {
namespace {

using namespace tollgate::v1;  // NOLINT: the enumerators are long

constexpr absl::Duration kPatience = absl::Seconds(30);

// A builder, and what fronts asked of it.
class TestHost : public FrontHost {
 public:
  explicit TestHost(grpc::ServerBuilder* builder) : builder_(*builder) {}
  void AddGrpcService(grpc::Service* service, const std::string& health_name) override {
    builder_.RegisterService(service);
    health_names.push_back(health_name);
  }
  std::vector<std::string> health_names;

 private:
  grpc::ServerBuilder& builder_;
};

class NativeFrontTest : public ::testing::Test {
 protected:
  NativeFrontTest() : random_(5) {
    base::InitSecrets();
    ValidatorOptions options;
    options.follower.validator_id = "edge-1";
    options.cache = {512, 8, 64};
    options.retry_after = absl::Milliseconds(1500);
    validator_ = Validator::Create(options, clock_, random_,
                                   [this](const ResolveRequest& request, auto answer) {
                                     Resolve(request, std::move(answer));
                                   })
                     .value();
    front_ = std::make_unique<NativeFront>(validator_.get());
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    TestHost host(&builder);
    front_->RegisterOn(&host);
    health_names_ = host.health_names;
    server_ = builder.BuildAndStart();
    channel_ =
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials());
    stub_ = ValidationService::NewStub(channel_);
    GoLive();
  }
  ~NativeFrontTest() override {
    AnswerAll();
    server_->Shutdown();
  }

  void GoLive() {
    const uint64_t stream = validator_->Start().stream;
    validator_->StreamConnected(stream);
    uint64_t sequence = 0;
    for (const auto& sent :
         validator_->StreamMessage(stream, WelcomeMessage("e1", 10, true)).send) {
      if (sent.has_ping()) sequence = sent.ping().sequence();
    }
    validator_->StreamMessage(stream, PongMessage(sequence, 10, 30));
  }
  // The service: answers at once from grants_, or keeps the question while held_ is set.
  void Resolve(const ResolveRequest& request,
               std::function<void(absl::StatusOr<ResolveResponse>)> answer) {
    ResolveResponse response;
    response.set_epoch("e1");
    response.set_revision(10);
    {
      absl::MutexLock lock(&mu_);
      const auto found = grants_.find(request.edge_digest());
      if (found == grants_.end()) {
        response.set_unknown(true);
      } else {
        *response.mutable_grant() = found->second;
      }
      if (hold_) {
        held_.push_back([response, answer] { answer(response); });
        return;
      }
    }
    answer(response);
  }
  void Hold() {
    absl::MutexLock lock(&mu_);
    hold_ = true;
  }
  void AwaitQuestions(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return held_.size() >= count; };
    ASSERT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&there), kPatience));
  }
  void AnswerAll() {
    std::vector<std::function<void()>> held;
    {
      absl::MutexLock lock(&mu_);
      hold_ = false;
      held.swap(held_);
    }
    for (const auto& answer : held) answer();
  }

  std::string Mint(const std::function<void(Grant*)>& change = nullptr) {
    auto minted = token::TokenFormat().Mint(token::TokenKind::kWorkspace, random_);
    std::string token(minted.token_string.RevealSecret());
    Grant grant = GrantFor("acme", minted.public_id);
    if (change) change(&grant);
    absl::MutexLock lock(&mu_);
    grants_[std::string(token::EdgeDigest::Of(token).bytes())] = grant;
    return token;
  }
  std::string MintUnknown() {
    return std::string(token::TokenFormat()
                           .Mint(token::TokenKind::kWorkspace, random_)
                           .token_string.RevealSecret());
  }

  static std::unique_ptr<grpc::ClientContext> Context() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    return context;
  }
  absl::Status Call(const ValidateRequest& request, ValidateResponse* response) {
    auto context = Context();
    return net::FromGrpcStatus(stub_->Validate(context.get(), request, response));
  }
  absl::Status Call(const BatchValidateRequest& request, BatchValidateResponse* response) {
    auto context = Context();
    return net::FromGrpcStatus(stub_->BatchValidate(context.get(), request, response));
  }
  ValidateResponse Validate(const std::string& token,
                            const std::function<void(v1::Requirement*)>& need = nullptr) {
    ValidateRequest request;
    request.set_token_string(token);
    if (need) need(request.mutable_requirement());
    ValidateResponse response;
    const absl::Status status = Call(request, &response);
    EXPECT_TRUE(status.ok()) << status;
    return response;
  }

  HandClock clock_;
  SharedSeededRandom random_;
  absl::Mutex mu_;
  std::map<std::string, Grant> grants_ ABSL_GUARDED_BY(mu_);
  bool hold_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::function<void()>> held_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Validator> validator_;
  std::unique_ptr<NativeFront> front_;
  std::vector<std::string> health_names_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<ValidationService::Stub> stub_;
};

TEST_F(NativeFrontTest, RegistersItself) {
  EXPECT_EQ(front_->name(), "native");
  EXPECT_EQ(health_names_, std::vector<std::string>{ValidationService::service_full_name()});
}

TEST_F(NativeFrontTest, AnAdmissionTellsWhoAndNothingElse) {
  const std::string token = Mint([](Grant* grant) {
    grant->add_scopes("items:read");
    grant->mutable_expire_time()->set_seconds(2'000'000'100);
    grant->mutable_expire_time()->set_nanos(250'000'000);
    (*grant->mutable_annotations())["team"] = "Über";
  });
  for (int i = 0; i < 2; ++i) {  // by asking, then from memory
    const ValidateResponse response = Validate(token);
    EXPECT_EQ(response.verdict(), VERDICT_ADMIT);
    ASSERT_EQ(response.identity().annotations_size(), 1);
    EXPECT_EQ(response.identity().annotations().at("team"), "Über");
    EXPECT_EQ(response.reason(), VERDICT_REASON_UNSPECIFIED);
    EXPECT_EQ(response.description(), "");
    EXPECT_FALSE(response.has_retry_after());
    const Identity& who = response.identity();
    EXPECT_EQ(who.workspace(), "acme");
    EXPECT_EQ(who.owner(), "team-a");
    EXPECT_EQ(who.token().find("workspaces/acme/tokens/"), 0u);
    ASSERT_EQ(who.scopes_size(), 2);
    EXPECT_EQ(who.scopes(0), "deploy:write");
    EXPECT_EQ(who.scopes(1), "items:read");
    EXPECT_EQ(who.expire_time().seconds(), 2'000'000'100);
    EXPECT_EQ(who.expire_time().nanos(), 250'000'000);
  }
  EXPECT_FALSE(Validate(Mint()).identity().has_expire_time());
}

TEST_F(NativeFrontTest, AnAddressThatIsNoneIsRefusedByField) {
  for (const std::string& bad : {std::string("unknown"), std::string("192.0.2.7:443"),
                                 std::string("0.0.0.0"), std::string(1000, '1')}) {
    ValidateRequest one;
    one.set_token_string(Mint());
    one.set_client_address(bad);
    BatchValidateRequest batch;
    batch.add_requests()->set_token_string(Mint());
    *batch.add_requests() = one;
    ValidateResponse response;
    BatchValidateResponse responses;
    const std::pair<absl::Status, std::string> refused[] = {
        {Call(one, &response), "client_address"},
        {Call(batch, &responses), "requests[1].client_address"}};
    for (const auto& [status, field] : refused) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_EQ(base::ReasonOf(status), "CLIENT_ADDRESS_MALFORMED");
      ASSERT_EQ(base::DetailsOf(status).fields.size(), 1u);
      EXPECT_EQ(base::DetailsOf(status).fields[0].field, field);
    }
  }
  ValidateRequest good;
  good.set_token_string(Mint());
  good.set_client_address("::ffff:192.0.2.7");
  ValidateResponse response;
  EXPECT_TRUE(Call(good, &response).ok());
}

TEST_F(NativeFrontTest, TheAddressGoesWithARefusedAttempt) {
  const std::string token = Mint([](Grant* grant) {
    grant->set_state(TOKEN_STATE_REVOKED);
    grant->set_report_attempt_addresses(true);
  });
  ValidateRequest one;
  one.set_token_string(token);
  one.set_client_address("::ffff:192.0.2.7");
  BatchValidateRequest batch;
  *batch.add_requests() = one;
  batch.mutable_requests(0)->set_client_address("2001:DB8::1");
  ValidateResponse response;
  BatchValidateResponse responses;
  ASSERT_TRUE(Call(one, &response).ok());
  ASSERT_TRUE(Call(batch, &responses).ok());
  EXPECT_EQ(response.reason(), VERDICT_REASON_REVOKED);
  EXPECT_EQ(response.http_status(), 401);
  EXPECT_EQ(response.error(), "invalid_token");
  EXPECT_FALSE(response.has_last_lease_age());
  validator_->StopAdmitting();
  std::set<std::string> from;
  for (const auto& message : validator_->Goodbye().send) {
    for (const auto& attempts : message.usage().attempts()) {
      for (const auto& address : attempts.addresses()) from.insert(address.address());
    }
  }
  EXPECT_EQ(from, (std::set<std::string>{"192.0.2.7", "2001:db8::1"}));
}

TEST_F(NativeFrontTest, AMissIsCountedOnceAndLookedUpOnce) {
  const std::string token = Mint();
  EXPECT_EQ(Validate(token).verdict(), VERDICT_ADMIT);
  EXPECT_EQ(validator_->Totals().misses, 1);
  EXPECT_EQ(validator_->Totals().from_memory, 0);
  EXPECT_EQ(Validate(token).verdict(), VERDICT_ADMIT);
  EXPECT_EQ(validator_->Totals().misses, 1);
  EXPECT_EQ(validator_->Totals().from_memory, 1);
}

TEST_F(NativeFrontTest, ARefusalSaysWhyAndToAStrangerNotWho) {
  const auto with_state = [&](TokenState state) {
    return Mint([state](Grant* grant) { grant->set_state(state); });
  };
  const struct {
    std::string token;
    VerdictReason reason;
    const char* description;
    bool identity;
  } cases[] = {
      {"", VERDICT_REASON_NO_TOKEN, "no token was presented", false},
      {"nonsense", VERDICT_REASON_MALFORMED, "malformed", false},
      {MintUnknown(), VERDICT_REASON_UNKNOWN, "unknown", false},
      {with_state(TOKEN_STATE_REVOKED), VERDICT_REASON_REVOKED, "revoked", false},
      {with_state(TOKEN_STATE_SUSPENDED), VERDICT_REASON_SUSPENDED, "suspended", false},
      {Mint([](Grant* grant) { grant->mutable_expire_time()->set_seconds(5); }),
       VERDICT_REASON_EXPIRED, "expired", false},
      {Mint([](Grant* grant) { grant->clear_scopes(); }), VERDICT_REASON_INSUFFICIENT_SCOPE,
       "a needed scope is missing", true},
      {Mint([](Grant* grant) { grant->add_audiences("other"); }), VERDICT_REASON_WRONG_AUDIENCE,
       "not meant for this service", true},
      {Mint([](Grant* grant) { grant->set_workspace("globex"); }), VERDICT_REASON_WRONG_WORKSPACE,
       "not meant for this workspace", true},
  };
  for (const auto& c : cases) {
    const ValidateResponse response = Validate(c.token, [](v1::Requirement* need) {
      need->add_any_scopes("deploy:write");
      need->set_audience("this");
      need->set_workspace("acme");
    });
    EXPECT_EQ(response.verdict(), VERDICT_DENY) << c.description;
    EXPECT_EQ(response.reason(), c.reason);
    EXPECT_EQ(response.description(), c.description);
    EXPECT_EQ(response.has_identity(), c.identity) << c.description;
    EXPECT_FALSE(response.has_retry_after());
  }
}

TEST_F(NativeFrontTest, AnExpressionIsJudgedBesideTheLists) {
  const auto reason = [this](const std::string& expression, const std::string& any = "") {
    const std::string token = Mint([](Grant* grant) { grant->add_scopes("items:read"); });
    std::set<VerdictReason> reasons;
    for (int i = 0; i < 2; ++i) {  // by asking, then from memory
      const ValidateResponse response = Validate(token, [&](v1::Requirement* need) {
        need->set_scope_expression(expression);
        if (!any.empty()) need->add_any_scopes(any);
      });
      reasons.insert(response.reason());
    }
    EXPECT_EQ(reasons.size(), 1u);
    return *reasons.begin();
  };
  EXPECT_EQ(reason("items:read AND (admin OR deploy:write)"), VERDICT_REASON_UNSPECIFIED);
  EXPECT_EQ(reason("items:read AND admin"), VERDICT_REASON_INSUFFICIENT_SCOPE);
  EXPECT_EQ(reason("items:read", "admin"), VERDICT_REASON_INSUFFICIENT_SCOPE);
  EXPECT_EQ(reason("admin", "items:read"), VERDICT_REASON_INSUFFICIENT_SCOPE);
  EXPECT_EQ(reason("admin OR items:read", "deploy:write"), VERDICT_REASON_UNSPECIFIED);
}

// It is often a part of a stranger's URL, which must not turn the whole batch into an error.
TEST_F(NativeFrontTest, WhatIsNoWorkspacesIdIsTheWorkspaceOfNoToken) {
  const std::string token = Mint();
  BatchValidateRequest request;
  for (const std::string& workspace :
       {std::string("acme"), std::string(""), std::string("globex"), std::string("ACME"),
        std::string("acm"), std::string("acme/"), std::string(100'000, 'a')}) {
    ValidateRequest* one = request.add_requests();
    one->set_token_string(token);
    one->mutable_requirement()->set_workspace(workspace);
  }
  BatchValidateResponse response;
  const absl::Status status = Call(request, &response);
  ASSERT_TRUE(status.ok()) << status;
  for (int i = 0; i < response.responses_size(); ++i) {
    EXPECT_EQ(response.responses(i).reason(),
              i < 2 ? VERDICT_REASON_UNSPECIFIED : VERDICT_REASON_WRONG_WORKSPACE)
        << i;
  }
}

TEST_F(NativeFrontTest, AMalformedRequirementIsRefusedByFieldWithTheRemedy) {
  const std::string token = Mint();
  const struct {
    const char* field;
    const char* reason;
    std::string value;
    const char* remedy;
  } cases[] = {
      {"scope_expression", "SCOPE_EXPRESSION_MALFORMED", "a AND b OR c", "wants parentheses"},
      {"scope_expression", "SCOPE_EXPRESSION_MALFORMED", " ", "it is empty"},
      {"scope_expression", "CONTAINS_TOKEN_STRING", "a " + token, "must not hold a token string"},
      {"workspace", "WORKSPACE_ID_MALFORMED", "workspaces/acme", "acme, and not workspaces/acme"},
  };
  for (const auto& c : cases) {
    BatchValidateRequest batch;
    for (int i = 0; i < 5; ++i) batch.add_requests()->set_token_string(token);
    ValidateRequest* one = batch.mutable_requests(3);
    if (c.field == std::string("workspace")) {
      one->mutable_requirement()->set_workspace(c.value);
    } else {
      one->mutable_requirement()->set_scope_expression(c.value);
    }
    ValidateResponse response;
    BatchValidateResponse responses;
    const absl::Status alone = Call(*one, &response);
    const absl::Status in_batch = Call(batch, &responses);
    for (const auto& [status, path] :
         {std::pair<absl::Status, std::string>{alone, ""}, {in_batch, "requests[3]."}}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.value;
      EXPECT_EQ(base::ReasonOf(status), c.reason);
      const auto fields = base::DetailsOf(status).fields;
      ASSERT_EQ(fields.size(), 1u);
      EXPECT_EQ(fields[0].field, path + "requirement." + c.field);
      EXPECT_NE(fields[0].description.find(c.remedy), std::string::npos) << fields[0].description;
      EXPECT_EQ(status.ToString().find(token), std::string::npos) << "a secret comes back";
    }
  }
  EXPECT_EQ(validator_->Totals().decisions(), 0) << "nothing of a refused request is decided";
}

TEST_F(NativeFrontTest, WhatPreventsAnAnswerSaysWhenToTryAgain) {
  validator_->StopAdmitting();
  clock_.Advance(absl::Seconds(40));
  const ValidateResponse response = Validate(Mint());
  EXPECT_EQ(response.verdict(), VERDICT_UNAVAILABLE);
  EXPECT_EQ(response.reason(), VERDICT_REASON_NO_LEASE);
  EXPECT_EQ(response.description(), "temporarily unavailable");
  EXPECT_EQ(response.retry_after().seconds(), 1);
  EXPECT_EQ(response.retry_after().nanos(), 500'000'000);
  EXPECT_FALSE(response.has_identity());
  EXPECT_EQ(response.http_status(), 503);
  EXPECT_EQ(response.error(), "");
  EXPECT_GE(response.last_lease_age().seconds(), 40);
}

TEST_F(NativeFrontTest, ATooLongStringIsMalformedWhateverItsLength) {
  for (const size_t length : {kLongestTokenString, kLongestTokenString + 1, size_t{1} << 20}) {
    EXPECT_EQ(Validate(std::string(length, 'x')).reason(), VERDICT_REASON_MALFORMED) << length;
  }
}

struct BoundCase {
  const char* name;
  const char* field;
  std::function<void(v1::Requirement*, size_t over)> fill;
  const char* reason = "REQUIREMENT_TOO_LARGE";
};

class NativeFrontBoundTest : public NativeFrontTest,
                             public ::testing::WithParamInterface<BoundCase> {};

TEST_P(NativeFrontBoundTest, TheLongestPassesAndOneMoreIsRefusedByField) {
  const std::string token = Mint();
  for (const size_t over : {size_t{0}, size_t{1}}) {
    ValidateRequest one;
    one.set_token_string(token);
    GetParam().fill(one.mutable_requirement(), over);
    BatchValidateRequest batch;
    batch.add_requests()->set_token_string(token);
    *batch.add_requests() = one;
    ValidateResponse response;
    BatchValidateResponse responses;
    const absl::Status alone = Call(one, &response);
    const absl::Status in_batch = Call(batch, &responses);
    if (over == 0) {
      EXPECT_TRUE(alone.ok()) << alone;
      EXPECT_TRUE(in_batch.ok()) << in_batch;
      EXPECT_EQ(responses.responses_size(), 2);
      EXPECT_EQ(front_->totals().refused, 0);
      continue;
    }
    const int64_t decided = validator_->Totals().decisions();
    for (const auto& [status, path] :
         {std::pair<absl::Status, std::string>{alone, ""}, {in_batch, "requests[1]."}}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_EQ(base::ReasonOf(status), GetParam().reason);
      ASSERT_EQ(base::DetailsOf(status).fields.size(), 1u);
      EXPECT_EQ(base::DetailsOf(status).fields[0].field, path + "requirement." + GetParam().field);
    }
    EXPECT_EQ(decided, 3) << "nothing of a refused request is decided";
    EXPECT_EQ(front_->totals().refused, 2);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Bounds, NativeFrontBoundTest,
    ::testing::Values(
        BoundCase{"AnyScopes", "any_scopes",
                  [](v1::Requirement* need, size_t over) {
                    for (size_t i = 0; i < token::kMaxScopes + over; ++i) {
                      need->add_any_scopes(absl::StrCat("s:", i));
                    }
                  }},
        BoundCase{"AllScopes", "all_scopes",
                  [](v1::Requirement* need, size_t over) {
                    for (size_t i = 0; i < token::kMaxScopes + over; ++i) {
                      need->add_all_scopes(absl::StrCat("s:", i));
                    }
                  }},
        BoundCase{"AnyScopesLength", "any_scopes",
                  [](v1::Requirement* need, size_t over) {
                    need->add_any_scopes("short");
                    need->add_any_scopes(std::string(token::kMaxScopeLength + over, 's'));
                    need->add_any_scopes("short");
                  }},
        BoundCase{"AllScopesLength", "all_scopes",
                  [](v1::Requirement* need, size_t over) {
                    need->add_all_scopes(std::string(token::kMaxScopeLength + over, 's'));
                    need->add_all_scopes("short");
                  }},
        BoundCase{"Audience", "audience",
                  [](v1::Requirement* need, size_t over) {
                    need->set_audience(std::string(token::kMaxAudienceLength + over, 'a'));
                  }},
        BoundCase{"StarOfAnyScopes", "any_scopes[1]",
                  [](v1::Requirement* need, size_t over) {
                    need->add_any_scopes("deploy:*");
                    need->add_any_scopes(over == 0 ? "repo:*" : "repo*");
                  },
                  "SCOPE_STAR_MISPLACED"},
        BoundCase{"StarOfAllScopes", "all_scopes[0]",
                  [](v1::Requirement* need, size_t over) {
                    need->add_all_scopes(over == 0 ? "*" : "a:*:b");
                  },
                  "SCOPE_STAR_MISPLACED"},
        BoundCase{"ScopeExpression", "scope_expression",
                  [](v1::Requirement* need, size_t over) {
                    std::string text(token::ScopeExpression::kMaxLength + over, ' ');
                    text[0] = 's';
                    need->set_scope_expression(text);
                  },
                  "SCOPE_EXPRESSION_MALFORMED"}),
    [](const auto& info) { return info.param.name; });

TEST_F(NativeFrontTest, ABatchIsRefusedAsAWholeOutsideItsSize) {
  const std::string token = Mint();
  for (const int size : {0, kMostInBatch + 1}) {
    BatchValidateRequest request;
    for (int i = 0; i < size; ++i) request.add_requests()->set_token_string(token);
    BatchValidateResponse response;
    const absl::Status status = Call(request, &response);
    EXPECT_EQ(base::ReasonOf(status), "BATCH_SIZE") << size;
    ASSERT_EQ(base::DetailsOf(status).fields.size(), 1u);
    EXPECT_EQ(base::DetailsOf(status).fields[0].field, "requests");
  }
  EXPECT_EQ(validator_->Totals().decisions(), 0);
  BatchValidateRequest request;
  for (int i = 0; i < kMostInBatch; ++i) request.add_requests()->set_token_string(token);
  BatchValidateResponse response;
  ASSERT_TRUE(Call(request, &response).ok());
  ASSERT_EQ(response.responses_size(), kMostInBatch);
  for (const auto& one : response.responses()) EXPECT_EQ(one.verdict(), VERDICT_ADMIT);
}

TEST_F(NativeFrontTest, ABatchAnswersInItsOrderOnceTheLastAnswerIsThere) {
  const std::string held = Mint(), asked = Mint();
  ASSERT_EQ(Validate(held).verdict(), VERDICT_ADMIT);
  Hold();
  BatchValidateRequest request;
  for (const std::string& token : {asked, held, std::string("nonsense"), MintUnknown()}) {
    request.add_requests()->set_token_string(token);
  }
  BatchValidateResponse response;
  auto context = Context();
  absl::Notification done;
  grpc::Status status;
  stub_->async()->BatchValidate(context.get(), &request, &response, [&](grpc::Status s) {
    status = s;
    done.Notify();
  });
  AwaitQuestions(2);
  EXPECT_FALSE(done.HasBeenNotified());
  AnswerAll();
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.responses_size(), 4);
  EXPECT_EQ(response.responses(0).reason(), VERDICT_REASON_UNSPECIFIED);
  EXPECT_EQ(response.responses(1).reason(), VERDICT_REASON_UNSPECIFIED);
  EXPECT_NE(response.responses(0).identity().token(), response.responses(1).identity().token());
  EXPECT_EQ(response.responses(2).reason(), VERDICT_REASON_MALFORMED);
  EXPECT_EQ(response.responses(3).reason(), VERDICT_REASON_UNKNOWN);
}

TEST_F(NativeFrontTest, BytesThatAreNoRequestAreToldSo) {
  grpc::GenericStub generic(channel_);
  for (const char* method : {"Validate", "BatchValidate"}) {
    const grpc::Slice slice("\xff\xff\xff");
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    auto context = Context();
    absl::Notification done;
    grpc::Status status;
    generic.UnaryCall(context.get(), absl::StrCat("/tollgate.v1.ValidationService/", method),
                      grpc::StubOptions(), &request, &response, [&](grpc::Status s) {
                        status = s;
                        done.Notify();
                      });
    ASSERT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
    EXPECT_EQ(base::ReasonOf(net::FromGrpcStatus(status)), "MALFORMED_REQUEST") << method;
  }
  EXPECT_EQ(front_->totals().refused, 2);
}

TEST_F(NativeFrontTest, CountsEachAnswerByItsVerdict) {
  const std::string token = Mint();
  Validate(token);
  Validate(token);
  Validate("nonsense");
  BatchValidateRequest request;
  request.add_requests()->set_token_string(token);
  request.add_requests();
  BatchValidateResponse responses;
  ASSERT_TRUE(Call(request, &responses).ok());
  validator_->StopAdmitting();
  Validate(token);
  const FrontTotals totals = front_->totals();
  EXPECT_EQ(totals.admitted, 3);
  EXPECT_EQ(totals.denied, 2);
  EXPECT_EQ(totals.unavailable, 1);
  EXPECT_EQ(totals.refused, 0);
}

TEST_F(NativeFrontTest, IsOneOfAllFronts) {
  const auto fronts = MakeFronts(validator_.get(), /*gate=*/nullptr);
  std::set<std::string> names;
  for (const auto& front : fronts) names.insert(std::string(front->name()));
  EXPECT_EQ(names.size(), fronts.size()) << "a name is a metric's label: each its own";
  EXPECT_EQ(names.count("native"), 1u);
}

}  // namespace
}  // namespace tollgate::validator
