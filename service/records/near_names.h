// The names that a mistyped one was probably meant for.
#ifndef TOLLGATE_SERVICE_RECORDS_NEAR_NAMES_H_
#define TOLLGATE_SERVICE_RECORDS_NEAR_NAMES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/engine.h"

namespace tollgate::service {

// Those of `known` that are near `name`, nearest first; at most three.
std::vector<std::string> NearNames(absl::string_view name, const std::vector<std::string>& known);

// NOT_FOUND, WORKSPACE_NOT_FOUND, with the workspaces whose names are near; or what kept them from
// being read. Of more than 500 workspaces the first ones alone are looked at.
absl::Status NoSuchWorkspace(const storage::View& view, absl::string_view workspace);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RECORDS_NEAR_NAMES_H_
