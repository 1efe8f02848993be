// tollgate.v1.TokenService: each RPC asks for a permission, runs a command or a read, and answers.
#ifndef TOLLGATE_SERVICE_RPC_TOKEN_SERVICE_H_
#define TOLLGATE_SERVICE_RPC_TOKEN_SERVICE_H_

#include "base/secret.h"
#include "service/records/change.h"
#include "service/rpc/rpc_call.h"
#include "service/rpc/rpc_deps.h"
#include "service/tokens/fresh_token.h"
#include "tollgate/v1/token_service.grpc.pb.h"

namespace tollgate::service {

namespace internal {
using TokenStub = tollgate::v1::TokenService;
// Every method takes bytes (request_bytes.h says why).
using RawTokenService = TokenStub::WithRawCallbackMethod_CreateToken<
    TokenStub::WithRawCallbackMethod_GetToken<TokenStub::WithRawCallbackMethod_ListTokens<
        TokenStub::WithRawCallbackMethod_ListTokenAttempts<
            TokenStub::WithRawCallbackMethod_UpdateToken<
                TokenStub::WithRawCallbackMethod_RotateToken<
                    TokenStub::WithRawCallbackMethod_ReplanRotation<
                        TokenStub::WithRawCallbackMethod_CancelRotation<
                            TokenStub::WithRawCallbackMethod_RetireToken<
                                TokenStub::WithRawCallbackMethod_SuspendToken<
                                    TokenStub::WithRawCallbackMethod_ResumeToken<
                                        TokenStub::WithRawCallbackMethod_RevokeToken<
                                            TokenStub::WithRawCallbackMethod_RevokeTokens<
                                                TokenStub::WithRawCallbackMethod_RevokeLeakedToken<
                                                    TokenStub::Service>>>>>>>>>>>>>>;
}  // namespace internal

// Thread-safe; never blocks a gRPC thread: changes complete on the committer's thread, reads run on
// the executor.
class TokenService final : public internal::RawTokenService {
 public:
  // `deps` outlives the service.
  explicit TokenService(const RpcDeps* deps);

  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;
  using Reactor = grpc::ServerUnaryReactor;
  Reactor* CreateToken(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* GetToken(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ListTokens(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ListTokenAttempts(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* UpdateToken(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* RotateToken(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ReplanRotation(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* CancelRotation(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* RetireToken(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* SuspendToken(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ResumeToken(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* RevokeToken(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* RevokeTokens(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* RevokeLeakedToken(Context* context, const Bytes* request, Bytes* response) override;

 private:
  // A fresh token for the workspace that a request names (or a token in it), untrusted.
  FreshToken MintUnder(absl::string_view resource) const;

  const RpcDeps* const deps_;
  const Method<tollgate::v1::CreateTokenRequest, tollgate::v1::CreateTokenResponse> create_;
  const Method<tollgate::v1::GetTokenRequest, tollgate::v1::Token> get_;
  const Method<tollgate::v1::ListTokensRequest, tollgate::v1::ListTokensResponse> list_;
  const Method<tollgate::v1::ListTokenAttemptsRequest, tollgate::v1::ListTokenAttemptsResponse>
      attempts_;
  const Method<tollgate::v1::UpdateTokenRequest, tollgate::v1::UpdateTokenResponse> update_;
  const Method<tollgate::v1::RotateTokenRequest, tollgate::v1::RotateTokenResponse> rotate_;
  const Method<tollgate::v1::ReplanRotationRequest, tollgate::v1::ReplanRotationResponse> replan_;
  const Method<tollgate::v1::CancelRotationRequest, tollgate::v1::CancelRotationResponse> cancel_;
  const Method<tollgate::v1::RetireTokenRequest, tollgate::v1::RetireTokenResponse> retire_;
  const Method<tollgate::v1::SuspendTokenRequest, tollgate::v1::SuspendTokenResponse> suspend_;
  const Method<tollgate::v1::ResumeTokenRequest, tollgate::v1::ResumeTokenResponse> resume_;
  const Method<tollgate::v1::RevokeTokenRequest, tollgate::v1::RevokeTokenResponse> revoke_;
  const Method<tollgate::v1::RevokeTokensRequest, tollgate::v1::RevokeTokensResponse> cohort_;
  const Method<tollgate::v1::RevokeLeakedTokenRequest, tollgate::v1::RevokeLeakedTokenResponse>
      leaked_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_TOKEN_SERVICE_H_
