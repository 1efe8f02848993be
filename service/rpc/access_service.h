// tollgate.v1.AccessService.
#ifndef TOLLGATE_SERVICE_RPC_ACCESS_SERVICE_H_
#define TOLLGATE_SERVICE_RPC_ACCESS_SERVICE_H_

#include "service/rpc/rpc_call.h"
#include "service/rpc/rpc_deps.h"
#include "tollgate/v1/access_service.grpc.pb.h"

namespace tollgate::service {

namespace internal {
using AccessStub = tollgate::v1::AccessService;
using RawAccessService =
    AccessStub::WithRawCallbackMethod_GrantRole<AccessStub::WithRawCallbackMethod_WithdrawRole<
        AccessStub::WithRawCallbackMethod_ListBindings<AccessStub::WithRawCallbackMethod_ListRoles<
            AccessStub::WithRawCallbackMethod_TestPermissions<AccessStub::Service>>>>>;
}  // namespace internal

// As TokenService.
class AccessService final : public internal::RawAccessService {
 public:
  // `deps` outlives the service.
  explicit AccessService(const RpcDeps* deps);

  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;
  using Reactor = grpc::ServerUnaryReactor;
  Reactor* GrantRole(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* WithdrawRole(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ListBindings(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ListRoles(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* TestPermissions(Context* context, const Bytes* request, Bytes* response) override;

 private:
  const RpcDeps* const deps_;
  const Method<tollgate::v1::GrantRoleRequest, tollgate::v1::GrantRoleResponse> grant_;
  const Method<tollgate::v1::WithdrawRoleRequest, tollgate::v1::WithdrawRoleResponse> withdraw_;
  const Method<tollgate::v1::ListBindingsRequest, tollgate::v1::ListBindingsResponse> list_;
  const Method<tollgate::v1::ListRolesRequest, tollgate::v1::ListRolesResponse> roles_;
  const Method<tollgate::v1::TestPermissionsRequest, tollgate::v1::TestPermissionsResponse> test_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_ACCESS_SERVICE_H_
