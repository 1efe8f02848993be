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

// The workspace of the operator tokens, which give access to the service itself. The service makes
// it, with the first of them; nobody makes, deletes or binds a role to it.
inline constexpr char kOperatorWorkspace[] = "@operators";

// 1 to 63 of a-z, 0-9, '-', not beginning or ending with '-': what a workspace can be called.
bool IsWorkspaceId(absl::string_view id);
// That, or kOperatorWorkspace.
bool IsTokenWorkspace(absl::string_view id);
std::string WorkspaceName(absl::string_view workspace);
std::string FormatTokenName(absl::string_view workspace, absl::string_view token_id);
// Both take kOperatorWorkspace, too. `field` is the request's field, for the error:
// INVALID_ARGUMENT, reason BAD_RESOURCE_NAME.
absl::StatusOr<std::string> ParseWorkspaceName(absl::string_view name, absl::string_view field);
absl::StatusOr<TokenName> ParseTokenName(absl::string_view name, absl::string_view field);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_RESOURCE_NAME_H_
