#include "service/rpc/workspace_service.h"

#include <string>
#include <utility>

#include "base/status.h"
#include "service/reads/preview_policy.h"
#include "service/reads/read_tokens.h"
#include "service/rpc/change_call.h"
#include "service/workspaces/create_workspace.h"
#include "service/workspaces/delete_workspace.h"
#include "service/workspaces/set_policy.h"
#include "service/workspaces/update_workspace.h"

namespace tollgate::service {
namespace {

using tollgate::v1::CreateWorkspaceRequest;
using tollgate::v1::CreateWorkspaceResponse;
using tollgate::v1::DeleteWorkspaceRequest;
using tollgate::v1::DeleteWorkspaceResponse;
using tollgate::v1::GetWorkspaceRequest;
using tollgate::v1::ListWorkspacesRequest;
using tollgate::v1::ListWorkspacesResponse;
using tollgate::v1::PreviewWorkspacePolicyRequest;
using tollgate::v1::PreviewWorkspacePolicyResponse;
using tollgate::v1::UpdateWorkspacePolicyRequest;
using tollgate::v1::UpdateWorkspacePolicyResponse;
using tollgate::v1::UpdateWorkspaceRequest;
using tollgate::v1::UpdateWorkspaceResponse;
using tollgate::v1::Workspace;

const std::string& GetName(const GetWorkspaceRequest& request) { return request.name(); }
const std::string& NewName(const CreateWorkspaceRequest& request) { return request.workspace_id(); }
const std::string& UpdateName(const UpdateWorkspaceRequest& request) {
  return request.workspace().name();
}
const std::string& DeleteName(const DeleteWorkspaceRequest& request) { return request.name(); }
const std::string& PolicyName(const UpdateWorkspacePolicyRequest& request) {
  return request.name();
}
const std::string& PreviewName(const PreviewWorkspacePolicyRequest& request) {
  return request.name();
}
// Each is judged by its own name as it is read.
const std::string& AnyWorkspace(const ListWorkspacesRequest&) {
  static const std::string& any = *new std::string("workspaces/-");
  return any;
}

}  // namespace

WorkspaceService::WorkspaceService(const RpcDeps* deps)
    : deps_(deps),
      create_{deps->metrics->Method("CreateWorkspace"), Permission::kCreateWorkspace, &NewName},
      get_{deps->metrics->Method("GetWorkspace"), Permission::kReadWorkspaces, &GetName},
      list_{deps->metrics->Method("ListWorkspaces"), Permission::kReadWorkspaces, &AnyWorkspace},
      update_{deps->metrics->Method("UpdateWorkspace"), Permission::kUpdateWorkspace, &UpdateName},
      delete_{deps->metrics->Method("DeleteWorkspace"), Permission::kDeleteWorkspace, &DeleteName},
      set_policy_{deps->metrics->Method("UpdateWorkspacePolicy"), Permission::kUpdatePolicy,
                  &PolicyName},
      preview_{deps->metrics->Method("PreviewWorkspacePolicy"), Permission::kReadTokens,
               &PreviewName} {}

grpc::ServerUnaryReactor* WorkspaceService::CreateWorkspace(Context* context, const Bytes* request,
                                                            Bytes* response) {
  return TypedCall<CreateWorkspaceRequest, CreateWorkspaceResponse>::Serve(
      deps_, create_, context, request, response, [](auto call) {
        CommitThenFinish(call, CreateWorkspaceCommand::Make(call->request, call->actor()));
      });
}

grpc::ServerUnaryReactor* WorkspaceService::UpdateWorkspace(Context* context, const Bytes* request,
                                                            Bytes* response) {
  return TypedCall<UpdateWorkspaceRequest, UpdateWorkspaceResponse>::Serve(
      deps_, update_, context, request, response, [](auto call) {
        CommitThenFinish(call, UpdateWorkspaceCommand::Make(call->request, call->actor()));
      });
}

grpc::ServerUnaryReactor* WorkspaceService::DeleteWorkspace(Context* context, const Bytes* request,
                                                            Bytes* response) {
  return TypedCall<DeleteWorkspaceRequest, DeleteWorkspaceResponse>::Serve(
      deps_, delete_, context, request, response, [](auto call) {
        CommitThenFinish(call, DeleteWorkspaceCommand::Make(call->request, call->actor()));
      });
}

grpc::ServerUnaryReactor* WorkspaceService::GetWorkspace(Context* context, const Bytes* request,
                                                         Bytes* response) {
  return TypedCall<GetWorkspaceRequest, Workspace>::Serve(
      deps_, get_, context, request, response, [](auto call) {
        ReadThenFinish(call, [raw = call.get()](const storage::Snapshot& snapshot) {
          ASSIGN_OR_RETURN(raw->response, ReadWorkspace(snapshot, raw->request));
          return absl::OkStatus();
        });
      });
}

grpc::ServerUnaryReactor* WorkspaceService::ListWorkspaces(Context* context, const Bytes* request,
                                                           Bytes* response) {
  return TypedCall<ListWorkspacesRequest, ListWorkspacesResponse>::Serve(
      deps_, list_, context, request, response, [](auto call) {
        ReadThenFinish(call, [raw = call.get()](const storage::Snapshot& snapshot) {
          ASSIGN_OR_RETURN(
              raw->response,
              ReadWorkspaceList(snapshot, raw->request, [raw](absl::string_view workspace) {
                return raw->MayAlso(Permission::kReadWorkspaces, workspace).ok();
              }));
          return absl::OkStatus();
        });
      });
}

grpc::ServerUnaryReactor* WorkspaceService::UpdateWorkspacePolicy(Context* context,
                                                                  const Bytes* request,
                                                                  Bytes* response) {
  return TypedCall<UpdateWorkspacePolicyRequest, UpdateWorkspacePolicyResponse>::Serve(
      deps_, set_policy_, context, request, response, [](auto call) {
        CommitThenFinish(call, SetPolicyCommand::Make(call->request, call->actor()));
      });
}

grpc::ServerUnaryReactor* WorkspaceService::PreviewWorkspacePolicy(Context* context,
                                                                   const Bytes* request,
                                                                   Bytes* response) {
  return TypedCall<PreviewWorkspacePolicyRequest, PreviewWorkspacePolicyResponse>::Serve(
      deps_, preview_, context, request, response, [](auto call) {
        ReadThenFinish(call, [raw = call.get()](const storage::Snapshot& snapshot) {
          ASSIGN_OR_RETURN(raw->response,
                           PreviewPolicy(snapshot, raw->request, raw->deps().clock->ServiceNow()));
          return absl::OkStatus();
        });
      });
}

}  // namespace tollgate::service
