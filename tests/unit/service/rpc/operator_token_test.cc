// Operator tokens at a running service: made, used, rotated and revoked like any other token, and
// good for the service alone.
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/service/service_fixture.h"
#include "token/digest.h"
#include "tollgate/v1/access_service.grpc.pb.h"

namespace tollgate::service {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::tollgate::v1::AccessService;

// The test is admin by its user, over a Unix socket; over the loopback nobody is anything.
class OperatorTokenTest : public ServiceTest {
 protected:
  ServerOptions Options() override {
    ServerOptions options = ServiceTest::Options();
    options.listen.push_back(absl::StrCat("unix:", dir_ / "admin"));
    options.admin.clear();
    options.no_host_admins = no_host_admins_;
    return options;
  }
  void SetUp() override {
    ServiceTest::SetUp();
    Connect();
  }
  void Connect() {
    const auto channel = grpc::CreateChannel(absl::StrCat("unix:", dir_ / "admin"),
                                             grpc::InsecureChannelCredentials());
    admin_tokens_ = v1::TokenService::NewStub(channel);
    admin_access_ = AccessService::NewStub(channel);
    admin_workspaces_ = v1::WorkspaceService::NewStub(channel);
    admin_edge_ = v1::EdgeService::NewStub(channel);
  }

  absl::StatusOr<v1::CreateTokenResponse> Make(
      const std::string& owner, const std::function<void(v1::Token*)>& change = nullptr) {
    v1::CreateTokenRequest request;
    request.set_parent("workspaces/@operators");
    request.mutable_token()->set_label(absl::StrCat(owner, "'s laptop"));
    request.mutable_token()->set_owner(owner);
    if (change) change(request.mutable_token());
    v1::CreateTokenResponse response;
    RETURN_IF_ERROR(Call(admin_tokens_, &Tokens::CreateToken, request, &response));
    return response;
  }
  void Grant(const std::string& role, const std::string& member) {
    v1::GrantRoleRequest request;
    request.mutable_binding()->set_role(role);
    request.mutable_binding()->set_member(member);
    v1::GrantRoleResponse response;
    const absl::Status granted =
        Call(admin_access_, &AccessService::Stub::GrantRole, request, &response);
    ASSERT_TRUE(granted.ok()) << granted;
  }
  // ListWorkspaces over the loopback, with this token.
  absl::Status List(const std::string& token) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));
    context.AddMetadata("authorization", absl::StrCat("Bearer ", token));
    v1::ListWorkspacesResponse response;
    return net::FromGrpcStatus(
        workspaces_->ListWorkspaces(&context, v1::ListWorkspacesRequest(), &response));
  }
  std::string ReasonOfList(const std::string& token) { return base::ReasonOf(List(token)); }

  bool no_host_admins_ = false;
  std::unique_ptr<Tokens> admin_tokens_;
  std::unique_ptr<Workspaces> admin_workspaces_;
  std::unique_ptr<Edge> admin_edge_;
  std::unique_ptr<AccessService::Stub> admin_access_;
};

TEST_F(OperatorTokenTest, ItsOwnerDoesWhatHisRolesSayUntilItEnds) {
  const auto made = Make("ada");
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_THAT(made->token_string(), testing::StartsWith("tgo_"));
  EXPECT_THAT(made->token().name(), testing::StartsWith("workspaces/@operators/tokens/"));
  EXPECT_EQ(ReasonOfList(made->token_string()), "PERMISSION_DENIED");
  EXPECT_THAT(List(made->token_string()).message(), HasSubstr("operator:ada"));
  Grant("issuer", "operator:ada");
  EXPECT_TRUE(List(made->token_string()).ok());
  EXPECT_EQ(ReasonOfList("nonsense"), "CREDENTIALS_MALFORMED");

  // He is in the audit log, and as a token's creator, by name.
  v1::CreateTokenRequest create;
  create.set_parent("workspaces/acme");
  create.set_create_workspace(true);
  create.mutable_token()->set_label("x");
  v1::CreateTokenResponse created;
  const auto ask = [&] {
    grpc::ClientContext context;
    context.AddMetadata("authorization", absl::StrCat("Bearer ", made->token_string()));
    return net::FromGrpcStatus(tokens_->CreateToken(&context, create, &created));
  };
  EXPECT_EQ(base::ReasonOf(ask()), "PERMISSION_DENIED") << "an issuer makes no workspace";
  v1::CreateWorkspaceRequest workspace;
  workspace.set_workspace_id("acme");
  v1::CreateWorkspaceResponse there;
  ASSERT_TRUE(Call(admin_workspaces_, &Workspaces::CreateWorkspace, workspace, &there).ok());
  create.set_create_workspace(false);
  ASSERT_TRUE(ask().ok());
  EXPECT_EQ(created.token().creator(), "operator:ada");

  // A restart knows it by the store.
  RestartServer();
  Connect();
  EXPECT_TRUE(List(made->token_string()).ok());

  v1::RotateTokenRequest rotate;
  rotate.set_name(made->token().name());
  v1::RotateTokenResponse rotated;
  ASSERT_TRUE(Call(admin_tokens_, &Tokens::RotateToken, rotate, &rotated).ok());
  EXPECT_THAT(rotated.token_string(), testing::StartsWith("tgo_"));
  EXPECT_TRUE(List(rotated.token_string()).ok()) << "the replacement is the same operator's";
  EXPECT_TRUE(List(made->token_string()).ok()) << "and the old one goes on until it is retired";

  v1::RevokeTokenRequest revoke;
  revoke.set_name(made->token().name());
  v1::RevokeTokenResponse revoked;
  ASSERT_TRUE(Call(admin_tokens_, &Tokens::RevokeToken, revoke, &revoked).ok());
  EXPECT_EQ(ReasonOfList(made->token_string()), "OPERATOR_TOKEN_NOT_ACTIVE");
  EXPECT_TRUE(List(rotated.token_string()).ok());

  v1::RevokeTokensRequest cohort;
  cohort.set_parent("workspaces/@operators");
  cohort.set_owner("ada");
  v1::RevokeTokensResponse all;
  const absl::Status done = Call(admin_tokens_, &Tokens::RevokeTokens, cohort, &all);
  ASSERT_TRUE(done.ok()) << done;
  EXPECT_EQ(ReasonOfList(rotated.token_string()), "OPERATOR_TOKEN_NOT_ACTIVE");
}

// Whoever finds one may end it, as he may any other.
TEST_F(OperatorTokenTest, ALeakedOneIsRevokedByItsString) {
  const auto made = Make("ada");
  ASSERT_TRUE(made.ok()) << made.status();
  Grant("reader", "operator:ada");
  ASSERT_TRUE(List(made->token_string()).ok());
  v1::RevokeLeakedTokenRequest leaked;
  leaked.set_token_string(made->token_string());
  v1::RevokeLeakedTokenResponse response;
  ASSERT_TRUE(Call(admin_tokens_, &Tokens::RevokeLeakedToken, leaked, &response).ok());
  EXPECT_EQ(ReasonOfList(made->token_string()), "OPERATOR_TOKEN_NOT_ACTIVE");
}

TEST_F(OperatorTokenTest, ToAnEdgeItIsNoToken) {
  const auto made = Make("ada");
  ASSERT_TRUE(made.ok()) << made.status();
  v1::ResolveRequest request;
  request.set_validator_id("edge-1");
  request.set_edge_digest(std::string(token::EdgeDigest::Of(made->token_string()).bytes()));
  v1::ResolveResponse response;
  ASSERT_TRUE(Call(admin_edge_, &Edge::Resolve, request, &response).ok());
  EXPECT_TRUE(response.unknown());
  EXPECT_FALSE(response.has_grant());
}

TEST_F(OperatorTokenTest, ItSaysWhoseItIsAndHasNoScopes) {
  const auto refusal = [this](const std::string& owner,
                              const std::function<void(v1::Token*)>& change = nullptr) {
    return base::ReasonOf(Make(owner, change).status());
  };
  EXPECT_EQ(refusal(""), "BAD_OPERATOR_NAME");
  EXPECT_EQ(refusal("a:b"), "BAD_OPERATOR_NAME");
  EXPECT_EQ(refusal("*"), "BAD_OPERATOR_NAME");
  EXPECT_EQ(refusal("ada", [](v1::Token* token) { token->add_scopes("a"); }),
            "OPERATOR_TOKEN_WITH_SCOPES");
  EXPECT_EQ(refusal("ada", [](v1::Token* token) { token->add_audiences("a"); }),
            "OPERATOR_TOKEN_WITH_SCOPES");
  const auto made = Make("ada@corp.example");
  ASSERT_TRUE(made.ok()) << made.status();
  const auto update = [&](const std::string& path, const std::function<void(v1::Token*)>& change) {
    v1::UpdateTokenRequest request;
    request.mutable_token()->set_name(made->token().name());
    change(request.mutable_token());
    request.mutable_update_mask()->add_paths(path);
    v1::UpdateTokenResponse response;
    return base::ReasonOf(Call(admin_tokens_, &Tokens::UpdateToken, request, &response));
  };
  EXPECT_EQ(update("owner", [](v1::Token* token) { token->set_owner("eve"); }),
            "OPERATOR_NAME_FIXED");
  EXPECT_EQ(update("scopes", [](v1::Token* token) { token->add_scopes("a"); }),
            "OPERATOR_TOKEN_WITH_SCOPES");
  EXPECT_EQ(update("label", [](v1::Token* token) { token->set_label("another"); }), "");
  EXPECT_THAT(List(made->token_string()).message(), HasSubstr("operator:ada@corp.example"));
}

// Nothing is judged by a use that is not recorded: it would end a token that is needed each day.
TEST_F(OperatorTokenTest, WhatGoesByUseIsRefused) {
  const auto made = Make("ada");
  ASSERT_TRUE(made.ok()) << made.status();
  const auto rotate = [&](const std::function<void(v1::RotateTokenRequest*)>& change) {
    v1::RotateTokenRequest request;
    request.set_name(made->token().name());
    change(&request);
    v1::RotateTokenResponse response;
    return base::ReasonOf(Call(admin_tokens_, &Tokens::RotateToken, request, &response));
  };
  EXPECT_EQ(rotate([](auto* request) {
              request->mutable_retire_plan()->mutable_when_silent()->set_seconds(60);
            }),
            "OPERATOR_USE_UNKNOWN");
  EXPECT_EQ(rotate([](auto* request) {
              request->mutable_retire_plan()->mutable_after()->set_seconds(3600);
            }),
            "");
  EXPECT_EQ(rotate([](auto* request) { request->set_again(true); }), "OPERATOR_USE_UNKNOWN");
  v1::CancelRotationRequest cancel;
  cancel.set_name(made->token().name());
  v1::CancelRotationResponse cancelled;
  EXPECT_EQ(base::ReasonOf(Call(admin_tokens_, &Tokens::CancelRotation, cancel, &cancelled)),
            "OPERATOR_USE_UNKNOWN");
  v1::ReplanRotationRequest replan;
  replan.set_name(made->token().name());
  replan.mutable_retire_plan()->mutable_when_silent()->set_seconds(60);
  v1::ReplanRotationResponse replanned;
  EXPECT_EQ(base::ReasonOf(Call(admin_tokens_, &Tokens::ReplanRotation, replan, &replanned)),
            "OPERATOR_USE_UNKNOWN");
  v1::UpdateWorkspacePolicyRequest policy;
  policy.set_name("workspaces/@operators");
  policy.mutable_policy()->mutable_max_unused()->set_seconds(86400);
  policy.mutable_update_mask()->add_paths("max_unused");
  v1::UpdateWorkspacePolicyResponse changed;
  EXPECT_EQ(
      base::ReasonOf(Call(admin_workspaces_, &Workspaces::UpdateWorkspacePolicy, policy, &changed)),
      "OPERATOR_USE_UNKNOWN");
  v1::RetireTokenRequest retire;
  retire.set_name(made->token().name());
  v1::RetireTokenResponse retired;
  EXPECT_EQ(base::ReasonOf(Call(admin_tokens_, &Tokens::RetireToken, retire, &retired)),
            "OPERATOR_USE_UNKNOWN");
  v1::ListTokensRequest unused;
  unused.set_parent("workspaces/@operators");
  unused.mutable_filter()->mutable_unused_for()->set_seconds(1);
  v1::ListTokensResponse listed;
  EXPECT_EQ(base::ReasonOf(Call(admin_tokens_, &Tokens::ListTokens, unused, &listed)),
            "OPERATOR_USE_UNKNOWN");
  unused.mutable_filter()->mutable_unused_for()->set_nanos(1);
  unused.mutable_filter()->mutable_unused_for()->set_seconds(0);
  unused.set_parent("workspaces/-");
  ASSERT_TRUE(Call(admin_tokens_, &Tokens::ListTokens, unused, &listed).ok());
  EXPECT_EQ(listed.tokens_size(), 0) << "an operator token is never called unused";
  retire.set_force(true);
  EXPECT_EQ(base::ReasonOf(Call(admin_tokens_, &Tokens::RetireToken, retire, &retired)), "");
  EXPECT_EQ(ReasonOfList(made->token_string()), "OPERATOR_TOKEN_NOT_ACTIVE");
}

// Each change says by which of his tokens its actor was known.
TEST_F(OperatorTokenTest, TheAuditLogNamesTheToken) {
  const auto made = Make("ada");
  ASSERT_TRUE(made.ok()) << made.status();
  Grant("admin", "operator:ada");
  grpc::ClientContext context;
  context.AddMetadata("authorization", absl::StrCat("Bearer ", made->token_string()));
  v1::CreateWorkspaceRequest create;
  create.set_workspace_id("acme");
  v1::CreateWorkspaceResponse created;
  ASSERT_TRUE(workspaces_->CreateWorkspace(&context, create, &created).ok());
  grpc::ClientContext reading;
  reading.AddMetadata("authorization", absl::StrCat("Bearer ", made->token_string()));
  v1::ListAuditEntriesRequest request;
  request.set_parent("workspaces/acme");
  v1::ListAuditEntriesResponse entries;
  ASSERT_TRUE(operations_->ListAuditEntries(&reading, request, &entries).ok());
  ASSERT_EQ(entries.entries_size(), 1);
  EXPECT_EQ(entries.entries(0).actor(), "operator:ada");
  EXPECT_EQ(entries.entries(0).details().at("operator_token"), made->token().token_id());
}

// An admin whose token is over can let nobody in, so he does not count.
TEST_F(OperatorTokenTest, AnAdminWithoutATokenIsNoAdminToCount) {
  StopServer();
  no_host_admins_ = true;
  StartServer();
  const auto channel = grpc::CreateChannel(absl::StrCat("unix:", dir_ / "admin"),
                                           grpc::InsecureChannelCredentials());
  std::ifstream file(dir_ / "store.operator");
  std::string token;
  ASSERT_TRUE(std::getline(file, token));
  const auto as_admin = [&](auto call) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", absl::StrCat("Bearer ", token));
    return base::ReasonOf(net::FromGrpcStatus(call(&context)));
  };
  const auto access = AccessService::NewStub(channel_);
  const auto withdraw = [&](const std::string& member) {
    return as_admin([&](grpc::ClientContext* context) {
      v1::WithdrawRoleRequest request;
      request.set_role("admin");
      request.set_member(member);
      v1::WithdrawRoleResponse response;
      return access->WithdrawRole(context, request, &response);
    });
  };
  EXPECT_EQ(withdraw("operator:admin"), "LAST_ADMIN");
  EXPECT_EQ(as_admin([&](grpc::ClientContext* context) {
              v1::GrantRoleRequest request;
              request.mutable_binding()->set_role("admin");
              request.mutable_binding()->set_member("operator:ada");
              v1::GrantRoleResponse response;
              return access->GrantRole(context, request, &response);
            }),
            "");
  EXPECT_EQ(withdraw("operator:admin"), "LAST_ADMIN") << "ada has no token";
  EXPECT_EQ(withdraw("operator:ada"), "");
}

TEST_F(OperatorTokenTest, ItsWorkspaceIsNobodys) {
  // The first token of a store brings its workspace; operators are no workspace to count.
  ASSERT_TRUE(Make("ada").ok());
  v1::CreateTokenRequest first;
  first.set_parent("workspaces/acme");
  first.mutable_token()->set_label("x");
  v1::CreateTokenResponse created;
  EXPECT_TRUE(Call(admin_tokens_, &Tokens::CreateToken, first, &created).ok());

  v1::DeleteWorkspaceRequest remove;
  remove.set_name("workspaces/@operators");
  v1::DeleteWorkspaceResponse removed;
  EXPECT_EQ(base::ReasonOf(Call(admin_workspaces_, &Workspaces::DeleteWorkspace, remove, &removed)),
            "HAS_OPERATORS");
  v1::CreateWorkspaceRequest create;
  create.set_workspace_id("@operators");
  v1::CreateWorkspaceResponse there;
  EXPECT_EQ(base::ReasonOf(Call(admin_workspaces_, &Workspaces::CreateWorkspace, create, &there)),
            "BAD_RESOURCE_NAME");
  v1::GrantRoleRequest grant;
  grant.mutable_binding()->set_role("issuer");
  grant.mutable_binding()->set_member("operator:ada");
  grant.mutable_binding()->add_workspaces("workspaces/@operators");
  v1::GrantRoleResponse granted;
  EXPECT_EQ(base::ReasonOf(Call(admin_access_, &AccessService::Stub::GrantRole, grant, &granted)),
            "BAD_RESOURCE_NAME");
  // It is seen by whoever sees bindings, and by nobody else.
  const auto other = Make("bob");
  ASSERT_TRUE(other.ok());
  Grant("reader", "operator:bob");
  const auto listed = [&](const std::string& token) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", absl::StrCat("Bearer ", token));
    v1::ListTokensRequest request;
    request.set_parent("workspaces/-");
    v1::ListTokensResponse response;
    EXPECT_TRUE(tokens_->ListTokens(&context, request, &response).ok());
    return response.ShortDebugString();
  };
  EXPECT_THAT(listed(other->token_string()), Not(HasSubstr("@operators")));
  EXPECT_THAT(listed(other->token_string()), HasSubstr("workspaces/acme"));
  Grant("auditor", "operator:bob");
  EXPECT_THAT(listed(other->token_string()), HasSubstr("@operators"));
}

}  // namespace
}  // namespace tollgate::service
