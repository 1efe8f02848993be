// A real server on a temporary RocksDB store, and real clients of it.
#ifndef TOLLGATE_TESTS_UNIT_SERVICE_SERVICE_FIXTURE_H_
#define TOLLGATE_TESTS_UNIT_SERVICE_SERVICE_FIXTURE_H_

#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/secret.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "net/error.h"
#include "service/server.h"
#include "tollgate/v1/edge_service.grpc.pb.h"
#include "tollgate/v1/operations_service.grpc.pb.h"
#include "tollgate/v1/token_service.grpc.pb.h"
#include "tollgate/v1/workspace_service.grpc.pb.h"

namespace tollgate::service {

// A temporary folder that is removed with the test.
class TempDir {
 public:
  TempDir() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "tollgate_test.XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class ServiceTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { base::InitSecrets(); }

  void SetUp() override { StartServer(); }

  virtual ServerOptions Options() {
    ServerOptions options;
    options.store = dir_ / "store";
    options.listen = {"127.0.0.1:0"};
    options.admin = {"local"};
    options.sweep_interval = absl::Milliseconds(20);
    return options;
  }

  void StartServer() {
    absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(Options());
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = std::move(*server);
    grpc::ChannelArguments args;
    args.SetMaxReceiveMessageSize(16 << 20);
    args.SetMaxSendMessageSize(16 << 20);
    args.SetInt("grpc.use_local_subchannel_pool", 1);
    channel_ = grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", server_->port()),
                                         grpc::InsecureChannelCredentials(), args);
    tokens_ = tollgate::v1::TokenService::NewStub(channel_);
    workspaces_ = tollgate::v1::WorkspaceService::NewStub(channel_);
    operations_ = tollgate::v1::OperationsService::NewStub(channel_);
    edge_ = tollgate::v1::EdgeService::NewStub(channel_);
  }

  void StopServer() {
    channel_.reset();
    tokens_.reset();
    workspaces_.reset();
    operations_.reset();
    edge_.reset();
    server_->Drain(absl::ZeroDuration(), absl::Seconds(5));
    server_.reset();
  }

  void RestartServer() {
    StopServer();
    StartServer();
  }

  // One unary call, with a deadline, so that a test never hangs.
  template <typename Stub, typename Request, typename Response>
  absl::Status Call(const std::unique_ptr<Stub>& stub,
                    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response,
                    absl::Duration deadline = absl::Seconds(30)) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + deadline));
    return net::FromGrpcStatus(((*stub).*method)(&context, request, response));
  }

  using Tokens = tollgate::v1::TokenService::Stub;
  using Workspaces = tollgate::v1::WorkspaceService::Stub;
  using Operations = tollgate::v1::OperationsService::Stub;
  using Edge = tollgate::v1::EdgeService::Stub;

  // Makes a token in one call.
  tollgate::v1::CreateTokenResponse Create(const std::string& label, const std::string& owner = "",
                                           const std::string& workspace = "acme") {
    tollgate::v1::CreateTokenRequest request;
    request.set_parent("workspaces/" + workspace);
    request.set_create_workspace(true);
    request.mutable_token()->set_label(label);
    request.mutable_token()->add_scopes("deploy:write");
    request.mutable_token()->set_owner(owner);
    tollgate::v1::CreateTokenResponse response;
    EXPECT_TRUE(Call(tokens_, &Tokens::CreateToken, request, &response).ok());
    return response;
  }

  tollgate::v1::Token Get(const std::string& name) {
    tollgate::v1::GetTokenRequest request;
    request.set_name(name);
    tollgate::v1::Token token;
    absl::Status status = Call(tokens_, &Tokens::GetToken, request, &token);
    EXPECT_TRUE(status.ok()) << status;
    return token;
  }

  TempDir dir_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Tokens> tokens_;
  std::unique_ptr<Workspaces> workspaces_;
  std::unique_ptr<Operations> operations_;
  std::unique_ptr<Edge> edge_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_TESTS_UNIT_SERVICE_SERVICE_FIXTURE_H_
