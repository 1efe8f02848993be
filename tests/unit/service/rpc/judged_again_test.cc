// A call is judged as it comes, and again as its work begins: a role may be withdrawn meanwhile.
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "service/rpc/workspace_service.h"
#include "service/tokens/fresh_token.h"
#include "tests/unit/service/rpc/rpc_fixture.h"
#include "token/resource_name.h"
#include "tollgate/v1/workspace_service.grpc.pb.h"

namespace tollgate::service {
namespace {

// Judges as another does, and counts.
class CountingAccess : public Access {
 public:
  explicit CountingAccess(const Access* inner) : inner_(inner) {}
  using Access::Authorize;
  absl::Status Authorize(absl::string_view caller, Permission permission,
                         absl::string_view resource) const override {
    absl::Status judged = inner_->Authorize(caller, permission, resource);
    ++judged_;
    return judged;
  }
  absl::optional<Binding> Find(absl::string_view caller, Permission permission,
                               absl::string_view resource) const override {
    return inner_->Find(caller, permission, resource);
  }
  const std::vector<Binding>& built_in() const override { return inner_->built_in(); }
  int judged() const { return judged_; }

 private:
  const Access* const inner_;
  mutable std::atomic<int> judged_ = 0;
};

// Keeps the committing thread, and the queue behind it, until a test lets it go.
class HoldQueue : public storage::Command {
 public:
  absl::string_view name() const override { return "hold_queue"; }
  absl::Status Run(const storage::View&, const storage::Slot&, storage::Effects&) override {
    let_go.WaitForNotification();
    return absl::OkStatus();
  }
  absl::Notification let_go;
};

class JudgedAgainTest : public RpcTest {
 protected:
  void SetUp() override {
    RpcTest::SetUp();
    bound_.Take({LocalAs(Role::kAdmin)});
    deps_.access = &counting_;
    workspaces_ = std::make_unique<WorkspaceService>(&deps_);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(workspaces_.get());
    workspace_server_ = builder.BuildAndStart();
    ASSERT_NE(workspace_server_, nullptr);
    workspace_stub_ = v1::WorkspaceService::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
  }
  void TearDown() override {
    workspace_server_->Shutdown();
    RpcTest::TearDown();
  }

  absl::Status CreateWorkspace(const std::string& id, const std::string& request_id = "") {
    v1::CreateWorkspaceRequest request;
    request.set_workspace_id(id);
    request.set_request_id(request_id);
    v1::CreateWorkspaceResponse response;
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kRpcPatience));
    if (!token_.empty()) context.AddMetadata("authorization", token_);
    return net::FromGrpcStatus(workspace_stub_->CreateWorkspace(&context, request, &response));
  }
  // Makes the call while the queue of commands is held, and withdraws every role once it was let
  // in.
  absl::Status WithdrawnWhileQueued(const std::string& id, const std::string& request_id = "",
                                    std::function<void()> withdraw = nullptr) {
    const auto hold = std::make_shared<HoldQueue>();
    sequencer_->Submit(hold, [](const absl::StatusOr<storage::Committed>&) {});
    const int before = counting_.judged();
    absl::Status ended;
    std::thread caller([&] { ended = CreateWorkspace(id, request_id); });
    EXPECT_TRUE(ComesTrue([&] { return counting_.judged() > before; }));
    if (withdraw) {
      withdraw();
    } else {
      bound_.Take({});
    }
    hold->let_go.Notify();
    caller.join();
    return ended;
  }
  bool IsThere(const std::string& workspace) {
    return engine_->NewSnapshot()
        .value()
        ->Get(storage::Table::kWorkspaces, workspace)
        .value()
        .has_value();
  }

  std::string token_;  // what CreateWorkspace brings
  const CountingAccess counting_{&bound_};
  std::unique_ptr<WorkspaceService> workspaces_;
  std::unique_ptr<grpc::Server> workspace_server_;
  std::unique_ptr<v1::WorkspaceService::Stub> workspace_stub_;
};

TEST_F(JudgedAgainTest, AChangeAsItIsMade) {
  ASSERT_TRUE(CreateWorkspace("acme").ok());
  const absl::Status ended = WithdrawnWhileQueued("globex");
  EXPECT_EQ(base::ReasonOf(ended), "PERMISSION_DENIED") << ended;
  EXPECT_TRUE(IsThere("acme"));
  EXPECT_FALSE(IsThere("globex"));
}

TEST_F(JudgedAgainTest, ByTheTokenThatWasPresented) {
  ASSERT_TRUE(CreateWorkspace("acme").ok());
  const FreshToken fresh =
      MintFor(token::kOperatorWorkspace, format_, keyring_, base::SystemRandom());
  OperatorToken token;
  token.record.set_token_id(fresh.minted.public_id);
  token.record.set_owner("ada");
  token.record.set_stored_digest(std::string(fresh.minted.stored_digest.bytes()));
  operator_tokens_.Take({token});
  Binding ada = LocalAs(Role::kAdmin);
  ada.member = "operator:ada";
  bound_.Take({ada});
  token_ = absl::StrCat("Bearer ", fresh.token_string->RevealSecret());
  ASSERT_TRUE(CreateWorkspace("globex").ok());
  const absl::Status ended =
      WithdrawnWhileQueued("initech", "", [this] { operator_tokens_.Take({}); });
  EXPECT_EQ(base::ReasonOf(ended), "OPERATOR_TOKEN_UNKNOWN") << ended;
  EXPECT_FALSE(IsThere("initech"));
}

TEST_F(JudgedAgainTest, ARetryBeforeItGetsItsFirstAnswer) {
  ASSERT_TRUE(CreateWorkspace("acme", "r1").ok());
  ASSERT_TRUE(CreateWorkspace("acme", "r1").ok());
  EXPECT_EQ(base::ReasonOf(WithdrawnWhileQueued("acme", "r1")), "PERMISSION_DENIED");
}

TEST_F(JudgedAgainTest, AReadAsItBegins) {
  ASSERT_TRUE(CreateWorkspace("acme").ok());
  const auto read = [this] {
    v1::GetWorkspaceRequest request;
    request.set_name("workspaces/acme");
    v1::Workspace workspace;
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kRpcPatience));
    return net::FromGrpcStatus(workspace_stub_->GetWorkspace(&context, request, &workspace));
  };
  ASSERT_TRUE(read().ok());
  reads_->Hold();
  absl::Status ended;
  std::thread caller([&] { ended = read(); });
  EXPECT_TRUE(ComesTrue([&] { return reads_->most_held() > 0; }));
  bound_.Take({});
  EXPECT_TRUE(reads_->RunOne());
  caller.join();
  EXPECT_EQ(base::ReasonOf(ended), "PERMISSION_DENIED") << ended;
}

}  // namespace
}  // namespace tollgate::service
