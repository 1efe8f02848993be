#include "service/rpc/workspace_service.h"

#include <string>
#include <utility>

#include "base/status.h"
#include "service/reads/preview_policy.h"
#include "service/reads/read_tokens.h"
#include "service/rpc/change_call.h"
#include "service/workspaces/set_policy.h"

namespace tollgate::service {
namespace {

using tollgate::v1::GetWorkspaceRequest;
using tollgate::v1::ListWorkspacesRequest;
using tollgate::v1::ListWorkspacesResponse;
using tollgate::v1::PreviewWorkspacePolicyRequest;
using tollgate::v1::PreviewWorkspacePolicyResponse;
using tollgate::v1::UpdateWorkspacePolicyRequest;
using tollgate::v1::UpdateWorkspacePolicyResponse;
using tollgate::v1::Workspace;

const std::string& GetName(const GetWorkspaceRequest& request) { return request.name(); }
const std::string& UpdateName(const UpdateWorkspacePolicyRequest& request) {
  return request.name();
}
const std::string& PreviewName(const PreviewWorkspacePolicyRequest& request) {
  return request.name();
}
const std::string& Nameless(const ListWorkspacesRequest&) {
  static const std::string& none = *new std::string();
  return none;
}

}  // namespace

WorkspaceService::WorkspaceService(const RpcDeps* deps)
    : deps_(deps),
      get_{deps->metrics->Method("GetWorkspace"), Permission::kReadWorkspaces, &GetName},
      list_{deps->metrics->Method("ListWorkspaces"), Permission::kReadWorkspaces, &Nameless},
      update_{deps->metrics->Method("UpdateWorkspacePolicy"), Permission::kUpdatePolicy,
              &UpdateName},
      preview_{deps->metrics->Method("PreviewWorkspacePolicy"), Permission::kReadTokens,
               &PreviewName} {}

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
          ASSIGN_OR_RETURN(raw->response, ReadWorkspaceList(snapshot, raw->request));
          return absl::OkStatus();
        });
      });
}

grpc::ServerUnaryReactor* WorkspaceService::UpdateWorkspacePolicy(Context* context,
                                                                  const Bytes* request,
                                                                  Bytes* response) {
  return TypedCall<UpdateWorkspacePolicyRequest, UpdateWorkspacePolicyResponse>::Serve(
      deps_, update_, context, request, response, [](auto call) {
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
