// A service that answers the command as the test tells it to, and keeps the requests.
#ifndef TOLLGATE_TESTS_UNIT_CLI_SCRIPTED_SERVICE_H_
#define TOLLGATE_TESTS_UNIT_CLI_SCRIPTED_SERVICE_H_

#include <grpcpp/grpcpp.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tollgate/v1/operations_service.grpc.pb.h"
#include "tollgate/v1/token_service.grpc.pb.h"
#include "tollgate/v1/validation_service.grpc.pb.h"

namespace tollgate::cli {

// One method: its requests, and the answer to the nth request (from 0).
template <class Request, class Response>
class ScriptedMethod {
 public:
  using Answer = std::function<grpc::Status(int nth, const Request& request, Response* response)>;

  void Script(Answer answer) { answer_ = std::move(answer); }
  grpc::Status Serve(const Request* request, Response* response) {
    std::lock_guard<std::mutex> lock(mu_);
    asked_.push_back(*request);
    if (answer_ == nullptr) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "not scripted");
    return answer_(static_cast<int>(asked_.size()) - 1, *request, response);
  }
  std::vector<Request> asked() {
    std::lock_guard<std::mutex> lock(mu_);
    return asked_;
  }

 private:
  std::mutex mu_;
  Answer answer_;
  std::vector<Request> asked_;
};

class ScriptedService {
 public:
  ScriptedService() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tgcli.XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    Start();
  }
  ~ScriptedService() {
    Stop();
    std::filesystem::remove_all(folder_);
  }

  std::string address() const { return absl::StrCat("unix:", folder_, "/service.sock"); }
  void Start() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address(), grpc::InsecureServerCredentials());
    builder.RegisterService(&tokens_);
    builder.RegisterService(&operations_);
    builder.RegisterService(&validations_);
    server_ = builder.BuildAndStart();
  }
  void Stop() {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
  }

  ScriptedMethod<v1::CreateTokenRequest, v1::CreateTokenResponse> create;
  ScriptedMethod<v1::RotateTokenRequest, v1::RotateTokenResponse> rotate;
  ScriptedMethod<v1::GetTokenRequest, v1::Token> get;
  ScriptedMethod<v1::ListTokensRequest, v1::ListTokensResponse> list;
  ScriptedMethod<v1::ListTokenAttemptsRequest, v1::ListTokenAttemptsResponse> attempts;
  ScriptedMethod<v1::UpdateTokenRequest, v1::UpdateTokenResponse> update;
  ScriptedMethod<v1::RetireTokenRequest, v1::RetireTokenResponse> retire;
  ScriptedMethod<v1::SuspendTokenRequest, v1::SuspendTokenResponse> suspend;
  ScriptedMethod<v1::RevokeTokenRequest, v1::RevokeTokenResponse> revoke;
  ScriptedMethod<v1::RevokeTokensRequest, v1::RevokeTokensResponse> revoke_many;
  ScriptedMethod<v1::RevokeLeakedTokenRequest, v1::RevokeLeakedTokenResponse> revoke_leaked;
  ScriptedMethod<v1::WaitEnforcedRequest, v1::Receipt> wait;
  ScriptedMethod<v1::ListAuditEntriesRequest, v1::ListAuditEntriesResponse> audit;
  ScriptedMethod<v1::GetClockRequest, v1::Clock> clock;
  ScriptedMethod<v1::AcceptClockRequest, v1::AcceptClockResponse> accept_clock;
  ScriptedMethod<v1::ValidateRequest, v1::ValidateResponse> validate;  // a validator's, here too

 private:
  class Tokens : public v1::TokenService::Service {
   public:
    explicit Tokens(ScriptedService* owner) : owner_(owner) {}
    grpc::Status CreateToken(grpc::ServerContext*, const v1::CreateTokenRequest* request,
                             v1::CreateTokenResponse* response) override {
      return owner_->create.Serve(request, response);
    }
    grpc::Status RotateToken(grpc::ServerContext*, const v1::RotateTokenRequest* request,
                             v1::RotateTokenResponse* response) override {
      return owner_->rotate.Serve(request, response);
    }
    grpc::Status GetToken(grpc::ServerContext*, const v1::GetTokenRequest* request,
                          v1::Token* response) override {
      return owner_->get.Serve(request, response);
    }
    grpc::Status ListTokens(grpc::ServerContext*, const v1::ListTokensRequest* request,
                            v1::ListTokensResponse* response) override {
      return owner_->list.Serve(request, response);
    }
    grpc::Status ListTokenAttempts(grpc::ServerContext*,
                                   const v1::ListTokenAttemptsRequest* request,
                                   v1::ListTokenAttemptsResponse* response) override {
      return owner_->attempts.Serve(request, response);
    }
    grpc::Status UpdateToken(grpc::ServerContext*, const v1::UpdateTokenRequest* request,
                             v1::UpdateTokenResponse* response) override {
      return owner_->update.Serve(request, response);
    }
    grpc::Status RetireToken(grpc::ServerContext*, const v1::RetireTokenRequest* request,
                             v1::RetireTokenResponse* response) override {
      return owner_->retire.Serve(request, response);
    }
    grpc::Status SuspendToken(grpc::ServerContext*, const v1::SuspendTokenRequest* request,
                              v1::SuspendTokenResponse* response) override {
      return owner_->suspend.Serve(request, response);
    }
    grpc::Status RevokeToken(grpc::ServerContext*, const v1::RevokeTokenRequest* request,
                             v1::RevokeTokenResponse* response) override {
      return owner_->revoke.Serve(request, response);
    }
    grpc::Status RevokeTokens(grpc::ServerContext*, const v1::RevokeTokensRequest* request,
                              v1::RevokeTokensResponse* response) override {
      return owner_->revoke_many.Serve(request, response);
    }
    grpc::Status RevokeLeakedToken(grpc::ServerContext*,
                                   const v1::RevokeLeakedTokenRequest* request,
                                   v1::RevokeLeakedTokenResponse* response) override {
      return owner_->revoke_leaked.Serve(request, response);
    }

   private:
    ScriptedService* const owner_;
  };
  class Operations : public v1::OperationsService::Service {
   public:
    explicit Operations(ScriptedService* owner) : owner_(owner) {}
    grpc::Status WaitEnforced(grpc::ServerContext*, const v1::WaitEnforcedRequest* request,
                              v1::Receipt* response) override {
      return owner_->wait.Serve(request, response);
    }
    grpc::Status ListAuditEntries(grpc::ServerContext*, const v1::ListAuditEntriesRequest* request,
                                  v1::ListAuditEntriesResponse* response) override {
      return owner_->audit.Serve(request, response);
    }
    grpc::Status GetClock(grpc::ServerContext*, const v1::GetClockRequest* request,
                          v1::Clock* response) override {
      return owner_->clock.Serve(request, response);
    }
    grpc::Status AcceptClock(grpc::ServerContext*, const v1::AcceptClockRequest* request,
                             v1::AcceptClockResponse* response) override {
      return owner_->accept_clock.Serve(request, response);
    }

   private:
    ScriptedService* const owner_;
  };

  class Validations : public v1::ValidationService::Service {
   public:
    explicit Validations(ScriptedService* owner) : owner_(owner) {}
    grpc::Status Validate(grpc::ServerContext*, const v1::ValidateRequest* request,
                          v1::ValidateResponse* response) override {
      return owner_->validate.Serve(request, response);
    }

   private:
    ScriptedService* const owner_;
  };

  std::string folder_;
  Tokens tokens_{this};
  Operations operations_{this};
  Validations validations_{this};
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace tollgate::cli

#endif  // TOLLGATE_TESTS_UNIT_CLI_SCRIPTED_SERVICE_H_
