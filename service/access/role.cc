#include "service/access/role.h"

#include <array>
#include <initializer_list>

#include "absl/strings/str_join.h"

namespace tollgate::service {
namespace {

// One bit a permission.
using Permissions = uint32_t;
static_assert(kPermissionCount < 32);

constexpr Permissions BitOf(Permission permission) {
  return Permissions{1} << static_cast<int>(permission);
}

constexpr Permissions kEverything = (Permissions{1} << kPermissionCount) - 1;

constexpr Permissions Of(std::initializer_list<Permission> permissions) {
  Permissions set = 0;
  for (const Permission permission : permissions) set |= BitOf(permission);
  return set;
}

// What each role may do; nothing but this table grants anything.
constexpr Permissions PermissionsOf(Role role) {
  switch (role) {
    case Role::kAdmin:
      return kEverything;
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
  return 0;
}

// By the role's number: each call of the service looks a permission up.
constexpr std::array<Permissions, kRoleCount> kPermissionsOfRoles = [] {
  std::array<Permissions, kRoleCount> all = {};
  for (int i = 0; i < kRoleCount; ++i) all[i] = PermissionsOf(static_cast<Role>(i));
  return all;
}();

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
  return (kPermissionsOfRoles[static_cast<size_t>(role)] & BitOf(permission)) != 0;
}

bool TakesWorkspaces(Role role) {
  for (const Permission permission : AllPermissions()) {
    if (Has(role, permission) && ScopeOf(permission) == PermissionScope::kWorkspace) return true;
  }
  return false;
}

}  // namespace tollgate::service
