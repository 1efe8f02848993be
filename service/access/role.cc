#include "service/access/role.h"

#include <bitset>

#include "absl/strings/str_join.h"

namespace tollgate::service {
namespace {

using Permissions = std::bitset<kPermissionCount>;

Permissions Of(std::initializer_list<Permission> permissions) {
  Permissions set;
  for (const Permission permission : permissions) set.set(static_cast<size_t>(permission));
  return set;
}

// What each role may do; nothing but this table grants anything.
Permissions PermissionsOf(Role role) {
  switch (role) {
    case Role::kAdmin:
      return Permissions().set();
    case Role::kOperator:
      // Takes away, and keeps the service running; is never shown a token, and grants nothing.
      return Of({Permission::kReadTokens, Permission::kSuspendToken, Permission::kRevokeToken,
                 Permission::kRevokeCohort, Permission::kRevokeLeaked, Permission::kReadWorkspaces,
                 Permission::kCreateWorkspace, Permission::kUpdateWorkspace,
                 Permission::kDeleteWorkspace, Permission::kUpdatePolicy, Permission::kReadAudit,
                 Permission::kWatchEvents, Permission::kReadReceipts, Permission::kReadOperations,
                 Permission::kCreateBackup, Permission::kAcceptClock, Permission::kForgetValidator,
                 Permission::kReadAccess, Permission::kTestAccess});
    case Role::kIssuer:
      return Of({Permission::kCreateToken, Permission::kReadTokens, Permission::kUpdateToken,
                 Permission::kRotateToken, Permission::kSuspendToken, Permission::kRevokeToken,
                 Permission::kRevokeCohort, Permission::kReadWorkspaces, Permission::kReadReceipts,
                 Permission::kTestAccess});
    case Role::kReader:
      return Of({Permission::kReadTokens, Permission::kReadWorkspaces, Permission::kWatchEvents,
                 Permission::kReadReceipts, Permission::kTestAccess});
    case Role::kAuditor:
      return Of({Permission::kReadTokens, Permission::kReadWorkspaces, Permission::kReadAudit,
                 Permission::kWatchEvents, Permission::kReadReceipts, Permission::kReadOperations,
                 Permission::kReadAccess, Permission::kTestAccess});
    case Role::kScanner:
      return Of({Permission::kRevokeLeaked, Permission::kTestAccess});
    case Role::kValidator:
      return Of({Permission::kFollowFeed, Permission::kTestAccess});
  }
  return Permissions();
}

}  // namespace

absl::string_view RoleName(Role role) {
  switch (role) {
    case Role::kAdmin:
      return "admin";
    case Role::kOperator:
      return "operator";
    case Role::kIssuer:
      return "issuer";
    case Role::kReader:
      return "reader";
    case Role::kAuditor:
      return "auditor";
    case Role::kScanner:
      return "scanner";
    case Role::kValidator:
      return "validator";
  }
  return "unknown";
}

absl::string_view DescribeRole(Role role) {
  switch (role) {
    case Role::kAdmin:
      return "does everything, and gives roles to others";
    case Role::kOperator:
      return "runs the service: workspaces, revocations, backups, the fleet; is never shown a "
             "token";
    case Role::kIssuer:
      return "makes, changes, rotates and revokes tokens";
    case Role::kReader:
      return "sees tokens and workspaces, and what happens to them";
    case Role::kAuditor:
      return "sees all that is kept, the audit log and the bindings included; changes nothing";
    case Role::kScanner:
      return "revokes a leaked token by its string, and sees nothing";
    case Role::kValidator:
      return "is an edge: follows the feed, and asks about tokens by their digests";
  }
  return "";
}

std::vector<Role> AllRoles() {
  std::vector<Role> all;
  all.reserve(kRoleCount);
  for (int i = 0; i < kRoleCount; ++i) all.push_back(static_cast<Role>(i));
  return all;
}

absl::optional<Role> ParseRole(absl::string_view name) {
  for (const Role role : AllRoles()) {
    if (RoleName(role) == name) return role;
  }
  return absl::nullopt;
}

std::string RoleNames() {
  return absl::StrJoin(AllRoles(), ", ", [](std::string* out, Role role) {
    out->append(RoleName(role).data(), RoleName(role).size());
  });
}

bool Has(Role role, Permission permission) {
  return PermissionsOf(role).test(static_cast<size_t>(permission));
}

bool TakesWorkspaces(Role role) {
  for (const Permission permission : AllPermissions()) {
    if (Has(role, permission) && ScopeOf(permission) == PermissionScope::kWorkspace) return true;
  }
  return false;
}

}  // namespace tollgate::service
