#include "token/resource_name.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "token/token_string.h"

namespace tollgate::token {
namespace {

constexpr absl::string_view kWorkspaces = "workspaces/";
constexpr absl::string_view kTokens = "/tokens/";

// Never quotes the value: a token string that was pasted in place of a name must not come back in
// an error, and from there reach a log.
absl::Status Bad(absl::string_view field, absl::string_view description) {
  return base::RefuseField("BAD_RESOURCE_NAME", field, description);
}

}  // namespace

bool IsWorkspaceId(absl::string_view id) {
  if (id.empty() || id.size() > 63 || id.front() == '-' || id.back() == '-') return false;
  for (const char c : id) {
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-') return false;
  }
  return true;
}

bool IsTokenWorkspace(absl::string_view id) {
  return id == kOperatorWorkspace || IsWorkspaceId(id);
}

std::string WorkspaceName(absl::string_view workspace) {
  return absl::StrCat(kWorkspaces, workspace);
}

std::string FormatTokenName(absl::string_view workspace, absl::string_view token_id) {
  return absl::StrCat(kWorkspaces, workspace, kTokens, token_id);
}

absl::StatusOr<std::string> ParseWorkspaceName(absl::string_view name, absl::string_view field) {
  if (name.empty()) return Bad(field, "required, as in workspaces/acme");
  if (!absl::ConsumePrefix(&name, kWorkspaces) || !IsTokenWorkspace(name)) {
    return Bad(field,
               "must be workspaces/{workspace}, the workspace 1 to 63 of a-z, 0-9 and '-', "
               "not beginning or ending with '-'");
  }
  return std::string(name);
}

absl::StatusOr<TokenName> ParseTokenName(absl::string_view name, absl::string_view field) {
  if (name.empty()) {
    return Bad(field, "required, as in workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  }
  const size_t tokens_at = name.find(kTokens);
  if (!absl::ConsumePrefix(&name, kWorkspaces) || tokens_at == absl::string_view::npos ||
      tokens_at < kWorkspaces.size()) {
    return Bad(field, "must be workspaces/{workspace}/tokens/{token_id}");
  }
  const absl::string_view workspace = name.substr(0, tokens_at - kWorkspaces.size());
  const absl::string_view token_id = name.substr(tokens_at - kWorkspaces.size() + kTokens.size());
  if (!IsTokenWorkspace(workspace)) {
    return Bad(field,
               "the workspace must be 1 to 63 of a-z, 0-9 and '-', not beginning or ending with "
               "'-'");
  }
  if (!IsPublicId(token_id)) {
    return Bad(field,
               "the token_id must be the 16 base62 characters of a token's public id; never put "
               "a token string in a name");
  }
  return TokenName{std::string(workspace), std::string(token_id)};
}

}  // namespace tollgate::token
