// The life of tokens through the front door: a real server, a real store, a real client.
#include <set>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "grpcpp/generic/generic_stub.h"
#include "prometheus/registry.h"
#include "service/access/access.h"
#include "tests/unit/service/program.h"
#include "tests/unit/service/rpc/silent_validator.h"
#include "tests/unit/service/service_fixture.h"
#include "token/digest.h"
#include "token/token_string.h"

namespace tollgate::service {
namespace {

using namespace tollgate::v1;  // NOLINT: the whole API
using testing::HasSubstr;
using testing::Not;

class TokenLifeTest : public ServiceTest {
 protected:
  // What an edge would be told about a token string.
  ResolveResponse Resolve(const std::string& token_string) {
    ResolveRequest request;
    const token::EdgeDigest digest = token::EdgeDigest::Of(token_string);
    request.set_edge_digest(std::string(digest.bytes()));
    request.set_epoch(server_->epoch());
    request.set_validator_id("edge-1");
    ResolveResponse response;
    absl::Status status = Call(edge_, &Edge::Resolve, request, &response);
    EXPECT_TRUE(status.ok()) << status;
    return response;
  }
};

TEST_F(TokenLifeTest, CreateShowsTheStringOnceAndTheEdgeKnowsIt) {
  const CreateTokenResponse made = Create("CI deploy key", "team-a");
  token::TokenFormat::Parsed parsed;
  ASSERT_EQ(token::TokenFormat().Parse(made.token_string(), &parsed), token::TokenDefect::kNone);
  EXPECT_EQ(made.token().token_id(), std::string(parsed.public_id));
  EXPECT_EQ(made.token().name(), "workspaces/acme/tokens/" + made.token().token_id());
  EXPECT_EQ(made.token().creator(), "local");
  EXPECT_EQ(made.token().state(), TOKEN_STATE_ACTIVE);
  EXPECT_FALSE(made.secret_withheld());
  EXPECT_EQ(made.revision(), server_->head());

  const Token got = Get(made.token().name());
  EXPECT_EQ(got.label(), "CI deploy key");
  EXPECT_EQ(got.owner(), "team-a");
  EXPECT_THAT(got.DebugString(), Not(HasSubstr(made.token_string().substr(20))));

  const ResolveResponse answer = Resolve(made.token_string());
  EXPECT_EQ(answer.grant().token_id(), made.token().token_id());
  EXPECT_EQ(answer.grant().state(), TOKEN_STATE_ACTIVE);
  EXPECT_GE(answer.revision(), made.revision());
}

TEST_F(TokenLifeTest, TheWholeLife) {
  const CreateTokenResponse first = Create("deploy");
  // Off, on, off.
  for (int i = 0; i < 2; ++i) {
    SuspendTokenRequest suspend;
    suspend.set_name(first.token().name());
    suspend.set_reason("looking");
    SuspendTokenResponse suspended;
    ASSERT_TRUE(Call(tokens_, &Tokens::SuspendToken, suspend, &suspended).ok());
    EXPECT_EQ(Resolve(first.token_string()).grant().state(), TOKEN_STATE_SUSPENDED);
    ResumeTokenRequest resume;
    resume.set_name(first.token().name());
    ResumeTokenResponse resumed;
    ASSERT_TRUE(Call(tokens_, &Tokens::ResumeToken, resume, &resumed).ok());
    EXPECT_GT(resumed.revision(), suspended.revision());
    EXPECT_EQ(Resolve(first.token_string()).grant().state(), TOKEN_STATE_ACTIVE);
  }
  UpdateTokenRequest update;
  update.mutable_token()->set_name(first.token().name());
  update.mutable_token()->set_label("deploy, renamed");
  update.mutable_update_mask()->add_paths("label");
  UpdateTokenResponse updated;
  ASSERT_TRUE(Call(tokens_, &Tokens::UpdateToken, update, &updated).ok());
  EXPECT_EQ(Get(first.token().name()).label(), "deploy, renamed");

  RotateTokenRequest rotate;
  rotate.set_name(first.token().name());
  RotateTokenResponse rotated;
  ASSERT_TRUE(Call(tokens_, &Tokens::RotateToken, rotate, &rotated).ok());
  EXPECT_NE(rotated.token_string(), first.token_string());
  EXPECT_EQ(rotated.replaced().state(), TOKEN_STATE_RETIRING);
  EXPECT_EQ(rotated.token().label(), "deploy, renamed");
  EXPECT_EQ(Resolve(first.token_string()).grant().state(), TOKEN_STATE_RETIRING);
  EXPECT_EQ(Resolve(rotated.token_string()).grant().state(), TOKEN_STATE_ACTIVE);

  // The replacement was never seen: refused, unless forced.
  RetireTokenRequest retire;
  retire.set_name(first.token().name());
  RetireTokenResponse retired;
  absl::Status refused = Call(tokens_, &Tokens::RetireToken, retire, &retired);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(base::ReasonOf(refused), "REPLACEMENT_NEVER_SEEN");
  retire.set_force(true);
  absl::Status forced = Call(tokens_, &Tokens::RetireToken, retire, &retired);
  ASSERT_TRUE(forced.ok()) << forced;
  EXPECT_EQ(Resolve(first.token_string()).grant().state(), TOKEN_STATE_REVOKED);

  RevokeTokenRequest revoke;
  revoke.set_name(rotated.token().name());
  revoke.set_reason("in a public gist");
  RevokeTokenResponse revoked;
  ASSERT_TRUE(Call(tokens_, &Tokens::RevokeToken, revoke, &revoked).ok());
  EXPECT_EQ(Resolve(rotated.token_string()).grant().state(), TOKEN_STATE_REVOKED);
  // Again: no error, the same revision.
  RevokeTokenResponse again;
  ASSERT_TRUE(Call(tokens_, &Tokens::RevokeToken, revoke, &again).ok());
  EXPECT_EQ(again.revision(), revoked.revision());

  ListAuditEntriesRequest audit;
  audit.set_parent("workspaces/acme");
  ListAuditEntriesResponse entries;
  ASSERT_TRUE(Call(operations_, &Operations::ListAuditEntries, audit, &entries).ok());
  EXPECT_GE(entries.entries_size(), 9);
  for (const AuditEntry& entry : entries.entries()) {
    EXPECT_EQ(entry.actor(), "local");
    EXPECT_EQ(entry.origin(), "127.0.0.1");
  }

  ListTokensRequest list;
  list.set_parent("workspaces/acme");
  list.set_page_size(1);
  ListTokensResponse page;
  ASSERT_TRUE(Call(tokens_, &Tokens::ListTokens, list, &page).ok());
  EXPECT_EQ(page.tokens_size(), 1);
  list.set_page_token(page.next_page_token());
  ASSERT_TRUE(Call(tokens_, &Tokens::ListTokens, list, &page).ok());
  EXPECT_EQ(page.tokens_size(), 1);
}

TEST_F(TokenLifeTest, ARetriedCreateWithholdsTheSecretAlsoAfterARestart) {
  CreateTokenRequest request;
  request.set_parent("workspaces/acme");
  request.mutable_token()->set_label("once");
  request.set_request_id("9f6c3c0e-once");
  CreateTokenResponse first, retry, later;
  ASSERT_TRUE(Call(tokens_, &Tokens::CreateToken, request, &first).ok());
  EXPECT_FALSE(first.token_string().empty());
  ASSERT_TRUE(Call(tokens_, &Tokens::CreateToken, request, &retry).ok());
  EXPECT_TRUE(retry.secret_withheld());
  EXPECT_TRUE(retry.token_string().empty());
  EXPECT_EQ(retry.token().name(), first.token().name());
  EXPECT_EQ(retry.revision(), first.revision());

  RestartServer();
  ASSERT_TRUE(Call(tokens_, &Tokens::CreateToken, request, &later).ok());
  EXPECT_TRUE(later.secret_withheld());
  EXPECT_EQ(later.token().name(), first.token().name());
  EXPECT_EQ(later.revision(), first.revision());

  request.mutable_token()->set_label("another");
  CreateTokenResponse other;
  absl::Status reused = Call(tokens_, &Tokens::CreateToken, request, &other);
  EXPECT_EQ(base::ReasonOf(reused), "REQUEST_ID_REUSED");
}

TEST_F(TokenLifeTest, WhatWasAnsweredIsThereAfterARestart) {
  const CreateTokenResponse made = Create("kept");
  const std::string epoch = server_->epoch();
  const int64_t head = server_->head();
  RestartServer();
  EXPECT_EQ(server_->epoch(), epoch);
  EXPECT_GT(server_->head(), head);  // the start's own write (R7)
  EXPECT_EQ(Get(made.token().name()).label(), "kept");
  EXPECT_EQ(Resolve(made.token_string()).grant().state(), TOKEN_STATE_ACTIVE);
}

TEST_F(TokenLifeTest, RevokesALeakedTokenByStringOrDigest) {
  const CreateTokenResponse a = Create("a"), b = Create("b");
  RevokeLeakedTokenRequest request;
  request.set_token_string(a.token_string());
  request.set_reason("found in a gist");
  RevokeLeakedTokenResponse response;
  absl::Status status = Call(tokens_, &Tokens::RevokeLeakedToken, request, &response);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(response.token().name(), a.token().name());
  EXPECT_EQ(Get(a.token().name()).state(), TOKEN_STATE_REVOKED);
  request.set_edge_digest(std::string(token::EdgeDigest::Of(b.token_string()).bytes()));
  ASSERT_TRUE(Call(tokens_, &Tokens::RevokeLeakedToken, request, &response).ok());
  EXPECT_EQ(Get(b.token().name()).state(), TOKEN_STATE_REVOKED);
}

TEST_F(TokenLifeTest, ACohortSaysItsNumberAlsoWhereNobodyAsked) {
  for (int i = 0; i < 7; ++i) Create("of the intern", "intern");
  Create("of somebody else", "boss");
  GetWorkspaceRequest get;
  get.set_name("workspaces/acme");
  Workspace workspace;
  ASSERT_TRUE(Call(workspaces_, &Workspaces::GetWorkspace, get, &workspace).ok());
  EXPECT_EQ(workspace.live_token_count(), 8);
  RevokeTokensRequest request;
  request.set_parent("workspaces/acme");
  request.set_owner("intern");
  RevokeTokensResponse response;
  absl::Status revoked = Call(tokens_, &Tokens::RevokeTokens, request, &response);
  ASSERT_TRUE(revoked.ok()) << revoked;
  EXPECT_EQ(response.token_count(), 7);
  EXPECT_EQ(base::ReasonOf(Call(tokens_, &Tokens::RevokeTokens, request, &response)),
            "NOTHING_TO_REVOKE");
  ASSERT_TRUE(Call(workspaces_, &Workspaces::GetWorkspace, get, &workspace).ok());
  EXPECT_EQ(workspace.live_token_count(), 1);
}

TEST_F(TokenLifeTest, ACohortIsOneCommitAndSaysFirstWhatItWouldHit) {
  for (int i = 0; i < 5; ++i) Create("of the intern", "intern");
  const CreateTokenResponse other = Create("of somebody else", "boss");
  const int64_t before = server_->head();
  RevokeTokensRequest request;
  request.set_parent("workspaces/acme");
  request.set_owner("intern");
  request.set_validate_only(true);
  RevokeTokensResponse response;
  ASSERT_TRUE(Call(tokens_, &Tokens::RevokeTokens, request, &response).ok());
  EXPECT_EQ(response.token_count(), 5);
  EXPECT_EQ(server_->head(), before);
  request.set_validate_only(false);
  request.set_expected_count(4);
  absl::Status mismatch = Call(tokens_, &Tokens::RevokeTokens, request, &response);
  EXPECT_EQ(base::ReasonOf(mismatch), "COUNT_MISMATCH");
  EXPECT_EQ(server_->head(), before);
  request.set_expected_count(5);
  request.set_request_id("offboarding");
  ASSERT_TRUE(Call(tokens_, &Tokens::RevokeTokens, request, &response).ok());
  EXPECT_EQ(response.revision(), before + 1);
  // A retry, when there is nothing left to count, is answered as the first.
  RevokeTokensResponse again;
  absl::Status retried = Call(tokens_, &Tokens::RevokeTokens, request, &again);
  ASSERT_TRUE(retried.ok()) << retried;
  EXPECT_EQ(again.revision(), before + 1);
  EXPECT_EQ(again.token_count(), 5);
  ListTokensRequest list;
  list.set_parent("workspaces/acme");
  list.mutable_filter()->set_owner("intern");
  ListTokensResponse page;
  ASSERT_TRUE(Call(tokens_, &Tokens::ListTokens, list, &page).ok());
  ASSERT_EQ(page.tokens_size(), 5);
  for (const Token& token : page.tokens()) EXPECT_EQ(token.state(), TOKEN_STATE_REVOKED);
  EXPECT_EQ(Get(other.token().name()).state(), TOKEN_STATE_ACTIVE);
}

TEST_F(TokenLifeTest, WithoutValidatorsARevocationIsEnforcedAtOnce) {
  const CreateTokenResponse made = Create("x");
  RevokeTokenRequest request;
  request.set_name(made.token().name());
  request.mutable_wait_enforced()->set_seconds(20);
  RevokeTokenResponse response;
  ASSERT_TRUE(Call(tokens_, &Tokens::RevokeToken, request, &response).ok());
  EXPECT_EQ(response.receipt().state(), ENFORCEMENT_STATE_ENFORCED);
  EXPECT_EQ(response.receipt().revision(), response.revision());
  EXPECT_EQ(response.receipt().epoch(), server_->epoch());
  EXPECT_TRUE(response.receipt().has_elapsed());

  GetEnforcementRequest get;
  get.set_revision(response.revision());
  Receipt receipt;
  ASSERT_TRUE(Call(operations_, &Operations::GetEnforcement, get, &receipt).ok());
  EXPECT_EQ(receipt.state(), ENFORCEMENT_STATE_ENFORCED);
  WaitEnforcedRequest wait;
  wait.set_revision(response.revision());
  ASSERT_TRUE(Call(operations_, &Operations::WaitEnforced, wait, &receipt).ok());
  EXPECT_EQ(receipt.state(), ENFORCEMENT_STATE_ENFORCED);
}

TEST_F(TokenLifeTest, AWaitThatPassesAnswersTheReceiptAsItStands) {
  const CreateTokenResponse made = Create("x");
  SilentValidator silent(edge_.get());
  ASSERT_TRUE(silent.granted());
  RevokeTokenRequest request;
  request.set_name(made.token().name());
  request.mutable_wait_enforced()->set_nanos(50'000'000);
  RevokeTokenResponse response;
  absl::Status status = Call(tokens_, &Tokens::RevokeToken, request, &response);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(response.receipt().state(), ENFORCEMENT_STATE_PENDING);
  ASSERT_EQ(response.receipt().pending_size(), 1);
  EXPECT_EQ(response.receipt().pending(0).validator(), "payments/edge-3");
  EXPECT_EQ(Get(made.token().name()).state(), TOKEN_STATE_REVOKED);
}

TEST_F(TokenLifeTest, TheClientsOwnDeadlineAnswersTheReceiptRatherThanAnError) {
  const CreateTokenResponse made = Create("x");
  SilentValidator silent(edge_.get());
  ASSERT_TRUE(silent.granted());
  RevokeTokenRequest request;
  request.set_name(made.token().name());
  request.mutable_wait_enforced()->set_seconds(600);
  RevokeTokenResponse response;
  absl::Status status =
      Call(tokens_, &Tokens::RevokeToken, request, &response, absl::Milliseconds(1500));
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(response.receipt().state(), ENFORCEMENT_STATE_PENDING);
}

TEST_F(TokenLifeTest, AClientThatGoesWhileWaitingIsLetGoAndTheChangeStaysDone) {
  const CreateTokenResponse made = Create("x");
  SilentValidator silent(edge_.get());
  ASSERT_TRUE(silent.granted());
  grpc::ClientContext context;
  std::thread gone([&] {
    EXPECT_TRUE(
        Eventually([&] { return Get(made.token().name()).state() == TOKEN_STATE_REVOKED; }));
    context.TryCancel();
  });
  RevokeTokenRequest request;
  request.set_name(made.token().name());
  request.mutable_wait_enforced()->set_seconds(600);
  RevokeTokenResponse response;
  const grpc::Status status = tokens_->RevokeToken(&context, request, &response);
  gone.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(Get(made.token().name()).state(), TOKEN_STATE_REVOKED);
  // Its place is free at once, long before the wait would have ended.
  const auto waiting = [this] {
    for (const prometheus::MetricFamily& family : server_->registry()->Collect()) {
      if (family.name == "tollgate_enforcement_waits") return family.metric.at(0).gauge.value;
    }
    return -1.0;
  };
  EXPECT_TRUE(Eventually([&] { return waiting() == 0; })) << waiting();
}

TEST_F(TokenLifeTest, ADrainAnswersWhoWaitsAndEndsWatchers) {
  const CreateTokenResponse made = Create("x");
  auto silent = std::make_unique<SilentValidator>(edge_.get());
  ASSERT_TRUE(silent->granted());
  grpc::ClientContext watch_context;
  WatchEventsRequest watch;
  auto events = operations_->WatchEvents(&watch_context, watch);
  events->WaitForInitialMetadata();
  absl::Status status;
  RevokeTokenResponse response;
  std::thread waiting([&] {
    RevokeTokenRequest request;
    request.set_name(made.token().name());
    request.mutable_wait_enforced()->set_seconds(600);
    status = Call(tokens_, &Tokens::RevokeToken, request, &response);
  });
  RevisionEvents seen;
  ASSERT_TRUE(events->Read(&seen));  // the revocation is committed
  std::thread draining([&] { server_->Drain(absl::ZeroDuration(), absl::Seconds(10)); });
  waiting.join();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(response.receipt().state(), ENFORCEMENT_STATE_PENDING);
  while (events->Read(&seen)) {
  }
  absl::Status ended = net::FromGrpcStatus(events->Finish());
  EXPECT_EQ(ended.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(base::ReasonOf(ended), "DRAINING");
  silent.reset();
  draining.join();
}

TEST_F(TokenLifeTest, WatchesEventsFromARevisionOnAndByWorkspace) {
  const CreateTokenResponse a = Create("a", "", "acme");
  const CreateTokenResponse b = Create("b", "", "other");
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));
  WatchEventsRequest request;
  request.set_after_revision(a.revision() - 1);
  request.set_parent("workspaces/other");
  auto stream = operations_->WatchEvents(&context, request);
  RevisionEvents seen;
  ASSERT_TRUE(stream->Read(&seen));
  EXPECT_EQ(seen.revision(), b.revision());
  EXPECT_EQ(seen.events(0).token_created().token_id(), b.token().token_id());
  const CreateTokenResponse c = Create("c", "", "other");
  ASSERT_TRUE(stream->Read(&seen));
  EXPECT_EQ(seen.revision(), c.revision());
  context.TryCancel();
  (void)stream->Finish();

  grpc::ClientContext future;
  request.set_after_revision(server_->head() + 100);
  auto refused = operations_->WatchEvents(&future, request);
  EXPECT_FALSE(refused->Read(&seen));
  EXPECT_EQ(net::FromGrpcStatus(refused->Finish()).code(), absl::StatusCode::kOutOfRange);
}

TEST_F(TokenLifeTest, TheSweepCommitsWhatHasExpired) {
  CreateTokenRequest request;
  request.set_parent("workspaces/acme");
  request.mutable_token()->set_label("short");
  request.mutable_lifetime()->set_nanos(100'000'000);
  CreateTokenResponse made;
  absl::Status status = Call(tokens_, &Tokens::CreateToken, request, &made);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(Eventually([&] { return server_->head() > made.revision(); }));
  const Token token = Get(made.token().name());
  EXPECT_EQ(token.state(), TOKEN_STATE_EXPIRED);
  EXPECT_GT(token.update_revision(), made.revision());
}

TEST_F(TokenLifeTest, WorkspacesAndTheirPolicies) {
  UpdateWorkspacePolicyRequest update;
  update.set_name("workspaces/strict");
  update.mutable_update_mask()->add_paths("*");
  update.mutable_policy()->mutable_max_lifetime()->set_seconds(3600);
  update.mutable_policy()->add_grantable_scopes("items:read");
  UpdateWorkspacePolicyResponse updated;
  absl::Status status = Call(workspaces_, &Workspaces::UpdateWorkspacePolicy, update, &updated);
  ASSERT_TRUE(status.ok()) << status;
  GetWorkspaceRequest get;
  get.set_name("workspaces/strict");
  Workspace workspace;
  ASSERT_TRUE(Call(workspaces_, &Workspaces::GetWorkspace, get, &workspace).ok());
  EXPECT_EQ(workspace.policy().max_lifetime().seconds(), 3600);
  Create("a", "", "acme");
  ListWorkspacesResponse list;
  ASSERT_TRUE(Call(workspaces_, &Workspaces::ListWorkspaces, ListWorkspacesRequest(), &list).ok());
  ASSERT_EQ(list.workspaces_size(), 2);
  EXPECT_EQ(list.workspaces(0).name(), "workspaces/acme");
}

TEST_F(TokenLifeTest, CountsWhatItDoes) {
  Create("x");
  GetTokenRequest nothing;
  nothing.set_name("workspaces/acme/tokens/0000000000000000");
  Token token;
  EXPECT_EQ(Call(tokens_, &Tokens::GetToken, nothing, &token).code(), absl::StatusCode::kNotFound);
  bool created = false, missed = false, commits = false;
  for (const prometheus::MetricFamily& family : server_->registry()->Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      std::string labels;
      for (const auto& label : metric.label) labels += label.value + " ";
      if (family.name == "tollgate_rpcs_total" && metric.counter.value == 1) {
        created |= labels == "CreateToken OK " || labels == "OK CreateToken ";
        missed |= labels == "GetToken NOT_FOUND " || labels == "NOT_FOUND GetToken ";
      }
      if (family.name == "tollgate_commits_total") commits |= metric.counter.value >= 2;
      if (family.name == "tollgate_head_revision") {
        EXPECT_EQ(metric.gauge.value, static_cast<double>(server_->head()));
      }
    }
  }
  EXPECT_TRUE(created);
  EXPECT_TRUE(missed);
  EXPECT_TRUE(commits);
}

TEST_F(TokenLifeTest, SaysThatItServes) {
  grpc::GenericStub stub(channel_);
  for (const std::string& name :
       {std::string(), std::string("liveness"), std::string("readiness"),
        std::string("tollgate.v1.TokenService"), std::string("tollgate.v1.EdgeService")}) {
    // HealthCheckRequest.service = 1, HealthCheckResponse.status = 1 (SERVING = 1), by hand.
    std::string wire;
    if (!name.empty())
      wire = absl::StrCat("\x0a", std::string(1, static_cast<char>(name.size())), name);
    grpc::Slice slice(wire);
    grpc::ByteBuffer request(&slice, 1), response;
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));
    grpc::CompletionQueue queue;
    grpc::Status status;
    auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
    call->StartCall();
    call->Finish(&response, &status, nullptr);
    void* tag;
    bool ok;
    ASSERT_TRUE(queue.Next(&tag, &ok));
    ASSERT_TRUE(status.ok()) << name << ": " << status.error_message();
    ASSERT_TRUE(response.DumpToSingleSlice(&slice).ok());
    EXPECT_EQ(std::string(slice.begin(), slice.end()), "\x08\x01") << name;
  }
}

class OverloadedTest : public ServiceTest {
 protected:
  ServerOptions Options() override {
    ServerOptions options = ServiceTest::Options();
    options.max_queued_reads = 0;
    return options;
  }
};

TEST_F(OverloadedTest, ReadsAreRefusedWithATimeToComeBackAndChangesGoOn) {
  const CreateTokenResponse made = Create("x");
  GetTokenRequest get;
  get.set_name(made.token().name());
  Token token;
  const absl::Status status = Call(tokens_, &Tokens::GetToken, get, &token);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  const base::ErrorDetails details = base::DetailsOf(status);
  EXPECT_EQ(details.reason, "OVERLOADED");
  EXPECT_EQ(details.retry_after, absl::Seconds(1));
  EXPECT_GT(Create("y").revision(), made.revision());
}

TEST_F(TokenLifeTest, ManyClientsAtOnceAllGetTheirOwnAnswer) {
  std::vector<std::thread> clients;
  absl::Mutex mu;
  std::set<std::string> names;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 25; ++i) {
        const std::string label = absl::StrCat("c", c, "-", i);
        const CreateTokenResponse made = Create(label);
        EXPECT_EQ(made.token().label(), label);
        absl::MutexLock lock(&mu);
        names.insert(made.token().name());
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(names.size(), 200u);
}

}  // namespace
}  // namespace tollgate::service
