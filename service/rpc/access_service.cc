#include "service/rpc/access_service.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/status.h"
#include "service/access/change_binding.h"
#include "service/access/member.h"
#include "service/access/read_access.h"
#include "service/rpc/change_call.h"

namespace tollgate::service {
namespace {

using tollgate::v1::GrantRoleRequest;
using tollgate::v1::GrantRoleResponse;
using tollgate::v1::ListBindingsRequest;
using tollgate::v1::ListBindingsResponse;
using tollgate::v1::ListRolesRequest;
using tollgate::v1::ListRolesResponse;
using tollgate::v1::TestPermissionsRequest;
using tollgate::v1::TestPermissionsResponse;
using tollgate::v1::WithdrawRoleRequest;
using tollgate::v1::WithdrawRoleResponse;

bool HasAdmin(const std::vector<Binding>& bindings) {
  return std::any_of(bindings.begin(), bindings.end(), [](const Binding& binding) {
    // The one of --dev-open is no member, and not there at the next start.
    return binding.role == Role::kAdmin && binding.workspaces.empty() &&
           CheckMember(binding.member, "member").ok();
  });
}

}  // namespace

AccessService::AccessService(const RpcDeps* deps)
    : deps_(deps),
      grant_{deps->metrics->Method("GrantRole"), Permission::kChangeAccess,
             &NoResource<GrantRoleRequest>},
      withdraw_{deps->metrics->Method("WithdrawRole"), Permission::kChangeAccess,
                &NoResource<WithdrawRoleRequest>},
      list_{deps->metrics->Method("ListBindings"), Permission::kReadAccess,
            &NoResource<ListBindingsRequest>},
      roles_{deps->metrics->Method("ListRoles"), Permission::kTestAccess,
             &NoResource<ListRolesRequest>},
      test_{deps->metrics->Method("TestPermissions"), Permission::kTestAccess,
            &NoResource<TestPermissionsRequest>} {}

grpc::ServerUnaryReactor* AccessService::GrantRole(Context* context, const Bytes* request,
                                                   Bytes* response) {
  return TypedCall<GrantRoleRequest, GrantRoleResponse>::Serve(
      deps_, grant_, context, request, response, [](auto call) {
        CommitThenFinish(call, GrantRoleCommand::Make(call->request, call->actor()));
      });
}

grpc::ServerUnaryReactor* AccessService::WithdrawRole(Context* context, const Bytes* request,
                                                      Bytes* response) {
  return TypedCall<WithdrawRoleRequest, WithdrawRoleResponse>::Serve(
      deps_, withdraw_, context, request, response, [](auto call) {
        const bool admin_elsewhere = HasAdmin(call->deps().access->built_in());
        CommitWaitThenFinish(
            call, WithdrawRoleCommand::Make(call->request, call->actor(), admin_elsewhere),
            [](const WithdrawRoleResponse&) -> const tollgate::v1::Token* { return nullptr; });
      });
}

grpc::ServerUnaryReactor* AccessService::ListBindings(Context* context, const Bytes* request,
                                                      Bytes* response) {
  return TypedCall<ListBindingsRequest, ListBindingsResponse>::Serve(
      deps_, list_, context, request, response, [](auto call) {
        ReadThenFinish(call, [raw = call.get()](const storage::Snapshot& snapshot) {
          ASSIGN_OR_RETURN(raw->response,
                           ReadBindingList(snapshot, *raw->deps().access, raw->request));
          return absl::OkStatus();
        });
      });
}

grpc::ServerUnaryReactor* AccessService::ListRoles(Context* context, const Bytes* request,
                                                   Bytes* response) {
  return TypedCall<ListRolesRequest, ListRolesResponse>::Serve(
      deps_, roles_, context, request, response, [](auto call) {
        call->response = AllRolesWithPermissions();
        call->FinishWith(absl::OkStatus());
      });
}

grpc::ServerUnaryReactor* AccessService::TestPermissions(Context* context, const Bytes* request,
                                                         Bytes* response) {
  return TypedCall<TestPermissionsRequest, TestPermissionsResponse>::Serve(
      deps_, test_, context, request, response, [](auto call) {
        const std::string& asked = call->request.member();
        const bool own = asked.empty() || asked == call->actor();
        absl::Status status = own ? absl::OkStatus() : call->MayAlso(Permission::kReadAccess, "");
        if (status.ok() && !own) status = CheckMember(asked, "member");
        if (status.ok() && !own && IsPattern(asked)) {
          status = base::RefuseField("BAD_MEMBER", "member",
                                     "is a pattern; name one caller, as the audit log does");
        }
        if (status.ok()) {
          auto tested =
              TestPermissionsOf(*call->deps().access, own ? call->actor() : asked, call->request);
          status = tested.status();
          if (tested.ok()) call->response = *std::move(tested);
        }
        call->FinishWith(status);
      });
}

}  // namespace tollgate::service
