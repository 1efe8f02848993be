// What is told of roles and bindings. Pure functions of a view and of what is in force.
#ifndef TOLLGATE_SERVICE_ACCESS_READ_ACCESS_H_
#define TOLLGATE_SERVICE_ACCESS_READ_ACCESS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/access/access.h"
#include "storage/engine.h"
#include "tollgate/v1/access_service.pb.h"

namespace tollgate::service {

// A page of the bindings. Scans, so not for a gRPC thread. PAGE_SIZE_NEGATIVE,
// PAGE_TOKEN_MALFORMED, PAGE_TOKEN_MISMATCH, UNKNOWN_ROLE.
absl::StatusOr<tollgate::v1::ListBindingsResponse> ReadBindingList(
    const storage::View& view, const Access& access,
    const tollgate::v1::ListBindingsRequest& request);

tollgate::v1::ListRolesResponse AllRolesWithPermissions();

// What `member`, a caller's name, may do in the request's workspace, or everywhere.
// UNKNOWN_PERMISSION, BAD_RESOURCE_NAME.
absl::StatusOr<tollgate::v1::TestPermissionsResponse> TestPermissionsOf(
    const Access& access, absl::string_view member,
    const tollgate::v1::TestPermissionsRequest& request);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_ACCESS_READ_ACCESS_H_
