// The roles: fixed sets of permissions. Pure.
#ifndef TOLLGATE_SERVICE_ACCESS_ROLE_H_
#define TOLLGATE_SERVICE_ACCESS_ROLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "service/access/permission.h"

namespace tollgate::service {

enum class Role : uint8_t {
  kAdmin,
  kOperator,
  kIssuer,
  kReader,
  kAuditor,
  kScanner,
  kValidator,
};
inline constexpr int kRoleCount = 7;

// "admin", …: these names lie in the store, so they never change.
absl::string_view RoleName(Role role);
// nullopt: there is none of that name.
absl::optional<Role> ParseRole(absl::string_view name);
// All of them, in their order.
std::vector<Role> AllRoles();
// "admin, operator, …", for refusals.
std::string RoleNames();
// Whom the role is for, in a sentence.
absl::string_view DescribeRole(Role role);

// Whether the role has the permission.
bool Has(Role role, Permission permission);

// Whether the role can be given in named workspaces alone: it has a permission that means something
// there.
bool TakesWorkspaces(Role role);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_ACCESS_ROLE_H_
