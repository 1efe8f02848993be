// Which role may call what, and where: every RPC, as a caller of each role sees it. The table is
// written out here once more, so that a change of the roles is a change of two places.
#include "tests/unit/service/rpc/role_table.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/text_format.h"
#include "grpcpp/generic/generic_stub.h"
#include "net/wire.h"
#include "service/access/role.h"
#include "tests/unit/service/service_fixture.h"
#include "tollgate/v1/access_service.grpc.pb.h"

namespace tollgate::service {
namespace {

using ::tollgate::v1::AccessService;

std::vector<const google::protobuf::MethodDescriptor*> Methods() {
  std::vector<const google::protobuf::MethodDescriptor*> methods;
  for (const char* service :
       {"TokenService", "WorkspaceService", "OperationsService", "EdgeService", "AccessService"}) {
    const auto* found = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
        absl::StrCat("tollgate.v1.", service));
    EXPECT_NE(found, nullptr) << service;
    for (int i = 0; found != nullptr && i < found->method_count(); ++i) {
      methods.push_back(found->method(i));
    }
  }
  return methods;
}

std::string NameOf(const google::protobuf::MethodDescriptor* method) {
  return absl::StrCat(method->service()->name(), ".", method->name());
}

// Calls over the loopback are those of `local`, who has the roles that a test gives; the test
// itself is admin by its user, over a Unix socket.
class RoleTableTest : public ServiceTest {
 protected:
  ServerOptions Options() override {
    ServerOptions options = ServiceTest::Options();
    options.listen.push_back(absl::StrCat("unix:", dir_ / "admin"));
    options.admin.clear();
    return options;
  }
  void SetUp() override {
    ServiceTest::SetUp();
    user_channel_ = grpc::CreateChannel(absl::StrCat("unix:", dir_ / "admin"),
                                        grpc::InsecureChannelCredentials());
    access_ = AccessService::NewStub(user_channel_);
    const auto workspaces = v1::WorkspaceService::NewStub(user_channel_);
    for (const std::string& id : WorkspacesAtFirst()) {
      v1::CreateWorkspaceRequest request;
      request.set_workspace_id(id);
      v1::CreateWorkspaceResponse response;
      grpc::ClientContext context;
      ASSERT_TRUE(workspaces->CreateWorkspace(&context, request, &response).ok());
    }
    generic_ = std::make_unique<grpc::GenericStub>(channel_);
  }

  virtual std::vector<std::string> WorkspacesAtFirst() { return {"acme", "globex"}; }

  void Grant(Role role, bool in_acme) {
    v1::GrantRoleRequest request;
    request.mutable_binding()->set_role(std::string(RoleName(role)));
    request.mutable_binding()->set_member("local");
    if (in_acme) request.mutable_binding()->add_workspaces("workspaces/acme");
    v1::GrantRoleResponse response;
    grpc::ClientContext context;
    const grpc::Status granted = access_->GrantRole(&context, request, &response);
    ASSERT_TRUE(granted.ok()) << granted.error_message();
  }
  void Withdraw(Role role) {
    v1::WithdrawRoleRequest request;
    request.set_role(std::string(RoleName(role)));
    request.set_member("local");
    v1::WithdrawRoleResponse response;
    grpc::ClientContext context;
    const grpc::Status withdrawn = access_->WithdrawRole(&context, request, &response);
    ASSERT_TRUE(withdrawn.ok()) << withdrawn.error_message();
  }

  // Whether the service lets the caller in; what it says then is another matter.
  bool LetsIn(const Row& row, const std::string& workspace) {
    const auto* method = google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
        absl::StrCat("tollgate.v1.", row.method));
    const std::unique_ptr<google::protobuf::Message> request(
        google::protobuf::MessageFactory::generated_factory()
            ->GetPrototype(method->input_type())
            ->New());
    const std::string text = absl::StrReplaceAll(row.request, {{"$W", workspace}});
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, request.get())) << text;
    const grpc::ByteBuffer bytes = net::ToByteBuffer(*request);
    grpc::ByteBuffer answer;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    absl::Notification done;
    grpc::Status status;
    generic_->UnaryCall(
        &context, absl::StrCat("/tollgate.v1.", method->service()->name(), "/", method->name()),
        grpc::StubOptions(), &bytes, &answer, [&](grpc::Status ended) {
          status = std::move(ended);
          done.Notify();
        });
    done.WaitForNotification();
    if (status.error_code() != grpc::StatusCode::PERMISSION_DENIED) return true;
    EXPECT_EQ(base::ReasonOf(net::FromGrpcStatus(status)), "PERMISSION_DENIED");
    return false;
  }

  std::shared_ptr<grpc::Channel> user_channel_;
  std::unique_ptr<AccessService::Stub> access_;
  std::unique_ptr<grpc::GenericStub> generic_;
};

TEST_F(RoleTableTest, EveryMethodHasItsRow) {
  std::set<std::string> rows;
  for (const Row& row : Table()) {
    EXPECT_TRUE(rows.insert(row.method).second) << row.method << " has two rows";
  }
  for (const auto* method : Methods()) {
    EXPECT_EQ(rows.erase(NameOf(method)), 1u) << NameOf(method) << " has no row";
  }
  EXPECT_TRUE(rows.empty()) << *rows.begin() << " is no method";
}

TEST_F(RoleTableTest, EachRoleMayWhatItsRowsSay) {
  for (const Role role : AllRoles()) {
    const std::string name(RoleName(role));
    for (const bool in_acme : {true, false}) {
      if (in_acme && !TakesWorkspaces(role)) continue;
      Grant(role, in_acme);
      for (const Row& row : Table()) {
        const std::vector<std::string> roles = absl::StrSplit(row.roles, ' ');
        const bool has = row.roles == std::string("*") ||
                         std::find(roles.begin(), roles.end(), name) != roles.end();
        const bool own = has && (row.of != Subject::kService || !in_acme);
        const bool others = has && (row.of == Subject::kAnywhere || !in_acme);
        const std::string what =
            absl::StrCat(row.method, " as ", name, in_acme ? " in acme" : " everywhere");
        EXPECT_EQ(LetsIn(row, "acme"), own) << what << ", asked about acme";
        EXPECT_EQ(LetsIn(row, "globex"), others) << what << ", asked about globex";
        EXPECT_EQ(LetsIn(row, "is-not-there"), others) << what << ", about none that there is";
        EXPECT_EQ(LetsIn(row, ""), others) << what << ", about none by name";
      }
      Withdraw(role);
    }
  }
  // Without a role, nothing but what everybody may.
  for (const Row& row : Table()) {
    EXPECT_EQ(LetsIn(row, "acme"), row.roles == std::string("*")) << row.method;
  }
}

// Who changes operator tokens gives access, and who sees them sees it, whatever he may do with
// other tokens.
TEST_F(RoleTableTest, OperatorTokensAreOfAccess) {
  const std::set<std::string> changes = {"admin"};
  const std::set<std::string> sees = {"admin", "operator", "auditor"};
  for (const Role role : AllRoles()) {
    const std::string name(RoleName(role));
    for (const bool in_acme : {true, false}) {
      if (in_acme && !TakesWorkspaces(role)) continue;
      Grant(role, in_acme);
      for (const Row& row : Table()) {
        const std::string method(row.method);
        if (row.of != Subject::kWorkspace || method == "WorkspaceService.CreateWorkspace") continue;
        const bool only_sees = absl::StrContains(row.roles, "auditor");
        const bool may = (only_sees ? sees : changes).count(name) > 0 && !in_acme;
        EXPECT_EQ(LetsIn(row, "@operators"), may)
            << method << " as " << name << (in_acme ? " in acme" : " everywhere");
      }
      Withdraw(role);
    }
  }
}

// A caller who may not see it is told the same of what is there and of what is not.
TEST_F(RoleTableTest, WhatOneMayNotSeeIsNotThere) {
  Grant(Role::kReader, /*in_acme=*/true);
  const auto told = [&](const std::string& workspace) {
    v1::GetWorkspaceRequest request;
    request.set_name(absl::StrCat("workspaces/", workspace));
    v1::Workspace response;
    grpc::ClientContext context;
    const absl::Status status =
        net::FromGrpcStatus(workspaces_->GetWorkspace(&context, request, &response));
    const base::ErrorDetails details = base::DetailsOf(status);
    std::map<std::string, std::string> metadata(details.metadata.begin(), details.metadata.end());
    std::string told = absl::StrCat(status.message(), " ", details.reason);
    for (const auto& [key, value] : metadata) absl::StrAppend(&told, " ", key, "=", value);
    return absl::StrReplaceAll(told, {{workspace, "W"}});
  };
  EXPECT_EQ(told("globex"), told("hidden"));
  v1::ListWorkspacesRequest list;
  v1::ListWorkspacesResponse listed;
  grpc::ClientContext context;
  ASSERT_TRUE(workspaces_->ListWorkspaces(&context, list, &listed).ok());
  ASSERT_EQ(listed.workspaces_size(), 1);
  EXPECT_EQ(listed.workspaces(0).name(), "workspaces/acme");
}

// A misspelt name gets no names in return that the caller may not see.
TEST_F(RoleTableTest, NoOtherWorkspaceIsSuggested) {
  v1::GrantRoleRequest request;
  request.mutable_binding()->set_role("issuer");
  request.mutable_binding()->set_member("local");
  request.mutable_binding()->add_workspaces("workspaces/globe");
  v1::GrantRoleResponse granted;
  grpc::ClientContext context;
  ASSERT_TRUE(access_->GrantRole(&context, request, &granted).ok());
  v1::CreateTokenRequest create;
  create.set_parent("workspaces/globe");
  create.mutable_token()->set_label("x");
  v1::CreateTokenResponse created;
  grpc::ClientContext call;
  const grpc::Status status = tokens_->CreateToken(&call, create, &created);
  EXPECT_EQ(base::ReasonOf(net::FromGrpcStatus(status)), "WORKSPACE_NOT_FOUND");
  EXPECT_EQ(status.error_message().find("globex"), std::string::npos) << status.error_message();
  EXPECT_EQ(status.error_details().find("globex"), std::string::npos);
}

// What a validator says over a Unix socket is of that user, and not of whoever else is on the host.
TEST_F(RoleTableTest, ASessionOverAUnixSocketIsOfItsUserAlone) {
  Grant(Role::kValidator, /*in_acme=*/false);
  v1::FollowRequest hello;
  hello.mutable_hello()->set_validator_id("edge-1");
  hello.mutable_hello()->set_incarnation(std::string(16, 'i'));
  const auto follow = [&hello](v1::EdgeService::Stub& edge, v1::FollowResponse* first) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    const auto stream = edge.Follow(&context);
    stream->Write(hello);
    if (stream->Read(first)) context.TryCancel();  // one that was refused has ended by itself
    return base::ReasonOf(net::FromGrpcStatus(stream->Finish()));
  };
  v1::FollowResponse first;
  follow(*v1::EdgeService::NewStub(user_channel_), &first);
  EXPECT_TRUE(first.has_welcome());
  EXPECT_EQ(follow(*edge_, &first), "SESSION_OF_ANOTHER");
  hello.mutable_hello()->set_incarnation(std::string(16, 'j'));
  follow(*edge_, &first);
  EXPECT_TRUE(first.has_welcome()) << "and another one is his";
}

class FirstWorkspaceTest : public RoleTableTest {
 protected:
  std::vector<std::string> WorkspacesAtFirst() override { return {}; }

  absl::Status CreateToken(bool create_workspace = false) {
    v1::CreateTokenRequest request;
    request.set_parent("workspaces/acme");
    request.set_create_workspace(create_workspace);
    request.mutable_token()->set_label("x");
    v1::CreateTokenResponse response;
    return Call(tokens_, &Tokens::CreateToken, request, &response);
  }
};

// The first token of a store brings its workspace with it, but for nobody who may not make one:
// else he would learn by it that there is no other.
TEST_F(FirstWorkspaceTest, ComesWithATokenOnlyForWhoMayMakeOne) {
  for (const bool in_acme : {true, false}) {
    Grant(Role::kIssuer, in_acme);
    const absl::Status none = CreateToken();
    EXPECT_EQ(base::ReasonOf(none), "WORKSPACE_NOT_FOUND") << none;
    EXPECT_EQ(base::ReasonOf(CreateToken(/*create_workspace=*/true)), "PERMISSION_DENIED");
    Withdraw(Role::kIssuer);
  }
  Grant(Role::kOperator, /*in_acme=*/true);
  EXPECT_EQ(base::ReasonOf(CreateToken()), "PERMISSION_DENIED") << "he makes no tokens";
  Withdraw(Role::kOperator);
  Grant(Role::kAdmin, /*in_acme=*/true);
  EXPECT_TRUE(CreateToken().ok());
}

}  // namespace
}  // namespace tollgate::service
