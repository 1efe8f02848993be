#include "service/access/read_access.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "service/access/change_binding.h"
#include "service/access/role.h"
#include "service/reads/page_token.h"
#include "service/reads/scan_page.h"
#include "storage/schema.h"
#include "token/resource_name.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {
namespace {

constexpr size_t kUsualPage = 100;
// No request is about more permissions than there are, many times over.
constexpr int kMostPermissions = 1000;

}  // namespace

absl::StatusOr<tollgate::v1::ListBindingsResponse> ReadBindingList(
    const storage::View& view, const Access& access,
    const tollgate::v1::ListBindingsRequest& request) {
  ASSIGN_OR_RETURN(const size_t page_size, ReadPageSize(request.page_size(), kUsualPage));
  if (!request.role().empty() && !ParseRole(request.role()).has_value()) {
    return base::RefuseField("UNKNOWN_ROLE", "role", absl::StrCat("must be one of ", RoleNames()));
  }
  // No member holds a line's end.
  const std::string list = absl::StrCat("bindings\n", request.member(), "\n", request.role());
  ASSIGN_OR_RETURN(const std::string after, ReadPageToken(list, request.page_token()));
  const auto asked_for = [&request](absl::string_view member, absl::string_view role) {
    return (request.member().empty() || request.member() == member) &&
           (request.role().empty() || request.role() == role);
  };
  tollgate::v1::ListBindingsResponse response;
  if (request.page_token().empty()) {
    for (const Binding& binding : access.built_in()) {
      if (asked_for(binding.member, RoleName(binding.role))) {
        *response.add_bindings() = ToBinding(binding);
      }
    }
  }
  storage::KeyRange range;
  if (!after.empty()) range.begin = storage::KeyAfter(after);
  ASSIGN_OR_RETURN(const absl::optional<std::string> next,
                   ScanPage(view, storage::Table::kBindings, range, page_size,
                            [&](const storage::Entry& entry) -> absl::StatusOr<size_t> {
                              store::v1::BindingRecord record;
                              if (!record.ParseFromString(entry.value)) {
                                return absl::DataLossError("a binding's record cannot be parsed");
                              }
                              if (record.withdrawn() || !asked_for(record.member(), record.role()))
                                return 0;
                              tollgate::v1::Binding* shown = response.add_bindings();
                              *shown = ToBinding(record);
                              return shown->ByteSizeLong();
                            }));
  if (next.has_value()) response.set_next_page_token(MakePageToken(list, *next));
  return response;
}

tollgate::v1::ListRolesResponse AllRolesWithPermissions() {
  tollgate::v1::ListRolesResponse response;
  for (const Role role : AllRoles()) {
    tollgate::v1::Role* shown = response.add_roles();
    shown->set_role(std::string(RoleName(role)));
    shown->set_description(std::string(DescribeRole(role)));
    shown->set_takes_workspaces(TakesWorkspaces(role));
    for (const Permission permission : AllPermissions()) {
      if (Has(role, permission)) shown->add_permissions(std::string(PermissionName(permission)));
    }
  }
  return response;
}

absl::StatusOr<tollgate::v1::TestPermissionsResponse> TestPermissionsOf(
    const Access& access, absl::string_view member,
    const tollgate::v1::TestPermissionsRequest& request) {
  if (request.permissions_size() > kMostPermissions) {
    return base::RefuseField("UNKNOWN_PERMISSION", "permissions",
                             "names more than there are; leave it empty for all");
  }
  std::string resource;
  if (!request.workspace().empty()) {
    ASSIGN_OR_RETURN(const std::string id,
                     token::ParseWorkspaceName(request.workspace(), "workspace"));
    resource = token::WorkspaceName(id);
  }
  std::vector<Permission> permissions;
  for (const std::string& name : request.permissions()) {
    const absl::optional<Permission> permission = ParsePermission(name);
    if (!permission.has_value()) {
      return base::RefuseField("UNKNOWN_PERMISSION", "permissions",
                               absl::StrCat("names '", name.substr(0, 64),
                                            "', which there is not; ListRoles tells them all"));
    }
    permissions.push_back(*permission);
  }
  if (permissions.empty()) permissions = AllPermissions();
  tollgate::v1::TestPermissionsResponse response;
  response.set_member(std::string(member));
  for (const Permission permission : permissions) {
    tollgate::v1::TestedPermission* tested = response.add_permissions();
    tested->set_permission(std::string(PermissionName(permission)));
    tested->set_granted(access.Authorize(member, permission, resource).ok());
    const absl::optional<Binding> by = access.Find(member, permission, resource);
    if (by.has_value()) *tested->mutable_by() = ToBinding(*by);
  }
  return response;
}

}  // namespace tollgate::service
