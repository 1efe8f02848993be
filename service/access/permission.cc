#include "service/access/permission.h"

#include "absl/strings/strip.h"
#include "token/resource_name.h"

namespace tollgate::service {

absl::string_view PermissionName(Permission permission) {
  switch (permission) {
    case Permission::kCreateToken:
      return "tokens.create";
    case Permission::kReadTokens:
      return "tokens.read";
    case Permission::kUpdateToken:
      return "tokens.update";
    case Permission::kRotateToken:
      return "tokens.rotate";
    case Permission::kSuspendToken:
      return "tokens.suspend";
    case Permission::kRevokeToken:
      return "tokens.revoke";
    case Permission::kRevokeCohort:
      return "cohorts.revoke";
    case Permission::kReadWorkspaces:
      return "workspaces.read";
    case Permission::kCreateWorkspace:
      return "workspaces.create";
    case Permission::kUpdateWorkspace:
      return "workspaces.update";
    case Permission::kDeleteWorkspace:
      return "workspaces.delete";
    case Permission::kUpdatePolicy:
      return "workspaces.updatePolicy";
    case Permission::kReadAudit:
      return "audit.read";
    case Permission::kWatchEvents:
      return "events.watch";
    case Permission::kRevokeLeaked:
      return "tokens.revokeLeaked";
    case Permission::kReadReceipts:
      return "receipts.read";
    case Permission::kReadOperations:
      return "operations.read";
    case Permission::kFollowFeed:
      return "feed.follow";
    case Permission::kCreateBackup:
      return "backups.create";
    case Permission::kAcceptClock:
      return "clock.accept";
    case Permission::kForgetValidator:
      return "validators.forget";
    case Permission::kReadAccess:
      return "access.read";
    case Permission::kChangeAccess:
      return "access.change";
    case Permission::kTestAccess:
      return "access.test";
  }
  return "unknown";
}

std::vector<Permission> AllPermissions() {
  std::vector<Permission> all;
  all.reserve(kPermissionCount);
  for (int i = 0; i < kPermissionCount; ++i) all.push_back(static_cast<Permission>(i));
  return all;
}

absl::optional<Permission> ParsePermission(absl::string_view name) {
  for (const Permission permission : AllPermissions()) {
    if (PermissionName(permission) == name) return permission;
  }
  return absl::nullopt;
}

PermissionScope ScopeOf(Permission permission) {
  switch (permission) {
    case Permission::kCreateToken:
    case Permission::kReadTokens:
    case Permission::kUpdateToken:
    case Permission::kRotateToken:
    case Permission::kSuspendToken:
    case Permission::kRevokeToken:
    case Permission::kRevokeCohort:
    case Permission::kReadWorkspaces:
    case Permission::kCreateWorkspace:
    case Permission::kUpdateWorkspace:
    case Permission::kDeleteWorkspace:
    case Permission::kUpdatePolicy:
    case Permission::kReadAudit:
    case Permission::kWatchEvents:
      return PermissionScope::kWorkspace;
    case Permission::kRevokeLeaked:  // whose the token is, only the service knows
    case Permission::kReadOperations:
    case Permission::kFollowFeed:
    case Permission::kCreateBackup:
    case Permission::kAcceptClock:
    case Permission::kForgetValidator:
    case Permission::kReadAccess:
    case Permission::kChangeAccess:
      return PermissionScope::kService;
    case Permission::kReadReceipts:
    case Permission::kTestAccess:
      break;
  }
  return PermissionScope::kAnywhere;
}

namespace {

bool IsOfOperators(absl::string_view resource) {
  return absl::ConsumePrefix(&resource, "workspaces/") &&
         absl::ConsumePrefix(&resource, token::kOperatorWorkspace) &&
         (resource.empty() || resource.front() == '/');
}

}  // namespace

Permission AskedOf(Permission permission, absl::string_view resource) {
  if (!IsOfOperators(resource)) return permission;
  switch (permission) {
    case Permission::kCreateToken:
    case Permission::kUpdateToken:
    case Permission::kRotateToken:
    case Permission::kSuspendToken:
    case Permission::kRevokeToken:
    case Permission::kRevokeCohort:
    case Permission::kCreateWorkspace:
    case Permission::kUpdateWorkspace:
    case Permission::kDeleteWorkspace:
    case Permission::kUpdatePolicy:
      return Permission::kChangeAccess;
    case Permission::kReadTokens:
    case Permission::kReadWorkspaces:
    case Permission::kWatchEvents:
      return Permission::kReadAccess;
    case Permission::kReadAudit:  // of the service, as the workspace has no id that a role can name
    case Permission::kRevokeLeaked:
    case Permission::kReadReceipts:
    case Permission::kReadOperations:
    case Permission::kFollowFeed:
    case Permission::kCreateBackup:
    case Permission::kAcceptClock:
    case Permission::kForgetValidator:
    case Permission::kReadAccess:
    case Permission::kChangeAccess:
    case Permission::kTestAccess:
      break;
  }
  return permission;
}

}  // namespace tollgate::service
