// The kinds of access, each apart, so that a role can grant each alone. Pure.
#ifndef TOLLGATE_SERVICE_ACCESS_PERMISSION_H_
#define TOLLGATE_SERVICE_ACCESS_PERMISSION_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace tollgate::service {

enum class Permission : uint8_t {
  kCreateToken,
  kReadTokens,
  kUpdateToken,
  kRotateToken,
  kSuspendToken,
  kRevokeToken,
  kRevokeCohort,
  kReadWorkspaces,
  kCreateWorkspace,  // the first one of a store comes with kCreateToken or kUpdatePolicy, too
  kUpdateWorkspace,
  kDeleteWorkspace,
  kUpdatePolicy,
  kReadAudit,
  kWatchEvents,
  kRevokeLeaked,
  kReadReceipts,    // whether, and when, a revision is enforced
  kReadOperations,  // the fleet, the clock, the store's state
  kFollowFeed,      // Resolve and Follow
  kCreateBackup,
  kAcceptClock,
  kForgetValidator,
  kReadAccess,
  kChangeAccess,
  kTestAccess,  // what one may do; everybody who is known has it
};
inline constexpr int kPermissionCount = 24;

// "tokens.create", …: used in refusals, and in the API.
absl::string_view PermissionName(Permission permission);
// nullopt: there is none of that name.
absl::optional<Permission> ParsePermission(absl::string_view name);
// All of them, in their order.
std::vector<Permission> AllPermissions();

// Of what a permission is asked.
enum class PermissionScope : uint8_t {
  kWorkspace,  // a workspace: who has it there may
  kService,    // the service as a whole: only who has it everywhere may
  kAnywhere,   // nothing of any workspace is told or changed: who has it anywhere may
};
PermissionScope ScopeOf(Permission permission);

// What is asked for in place of `permission` where a request names `resource`, unparsed and
// untrusted: who changes or sees operator tokens gives or sees access, whatever he may do with
// other tokens.
Permission AskedOf(Permission permission, absl::string_view resource);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_ACCESS_PERMISSION_H_
