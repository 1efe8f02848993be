// `workspaces/{workspace}` and `workspaces/{workspace}/tokens/{token_id}` (AIP-122).
#ifndef TOLLGATE_TOKEN_RESOURCE_NAME_H_
#define TOLLGATE_TOKEN_RESOURCE_NAME_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tollgate::token {

struct TokenName {
  std::string workspace;
  std::string token_id;
};

// 1 to 63 of a-z, 0-9, '-', not beginning or ending with '-'.
bool IsWorkspaceId(absl::string_view id);
std::string WorkspaceName(absl::string_view workspace);
std::string FormatTokenName(absl::string_view workspace, absl::string_view token_id);
// `field` is the request's field, for the error: INVALID_ARGUMENT, reason BAD_RESOURCE_NAME.
absl::StatusOr<std::string> ParseWorkspaceName(absl::string_view name, absl::string_view field);
absl::StatusOr<TokenName> ParseTokenName(absl::string_view name, absl::string_view field);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_RESOURCE_NAME_H_
