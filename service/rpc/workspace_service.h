// tollgate.v1.WorkspaceService.
#ifndef TOLLGATE_SERVICE_RPC_WORKSPACE_SERVICE_H_
#define TOLLGATE_SERVICE_RPC_WORKSPACE_SERVICE_H_

#include "service/rpc/rpc_call.h"
#include "service/rpc/rpc_deps.h"
#include "tollgate/v1/workspace_service.grpc.pb.h"

namespace tollgate::service {

namespace internal {
using WorkspaceStub = tollgate::v1::WorkspaceService;
using RawWorkspaceService = WorkspaceStub::WithRawCallbackMethod_CreateWorkspace<
    WorkspaceStub::WithRawCallbackMethod_GetWorkspace<
        WorkspaceStub::WithRawCallbackMethod_ListWorkspaces<
            WorkspaceStub::WithRawCallbackMethod_UpdateWorkspace<
                WorkspaceStub::WithRawCallbackMethod_DeleteWorkspace<
                    WorkspaceStub::WithRawCallbackMethod_UpdateWorkspacePolicy<
                        WorkspaceStub::WithRawCallbackMethod_PreviewWorkspacePolicy<
                            WorkspaceStub::Service>>>>>>>;
}  // namespace internal

// As TokenService.
class WorkspaceService final : public internal::RawWorkspaceService {
 public:
  // `deps` outlives the service.
  explicit WorkspaceService(const RpcDeps* deps);

  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;
  using Reactor = grpc::ServerUnaryReactor;
  Reactor* CreateWorkspace(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* GetWorkspace(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ListWorkspaces(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* UpdateWorkspace(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* DeleteWorkspace(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* UpdateWorkspacePolicy(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* PreviewWorkspacePolicy(Context* context, const Bytes* request, Bytes* response) override;

 private:
  const RpcDeps* const deps_;
  const Method<tollgate::v1::CreateWorkspaceRequest, tollgate::v1::CreateWorkspaceResponse> create_;
  const Method<tollgate::v1::GetWorkspaceRequest, tollgate::v1::Workspace> get_;
  const Method<tollgate::v1::ListWorkspacesRequest, tollgate::v1::ListWorkspacesResponse> list_;
  const Method<tollgate::v1::UpdateWorkspaceRequest, tollgate::v1::UpdateWorkspaceResponse> update_;
  const Method<tollgate::v1::DeleteWorkspaceRequest, tollgate::v1::DeleteWorkspaceResponse> delete_;
  const Method<tollgate::v1::UpdateWorkspacePolicyRequest,
               tollgate::v1::UpdateWorkspacePolicyResponse>
      set_policy_;
  const Method<tollgate::v1::PreviewWorkspacePolicyRequest,
               tollgate::v1::PreviewWorkspacePolicyResponse>
      preview_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_WORKSPACE_SERVICE_H_
