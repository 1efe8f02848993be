// Names of resources, as callers write them.
#include "absl/strings/string_view.h"
#include "tests/fuzz/fuzz.h"
#include "token/resource_name.h"
#include "token/token_string.h"

namespace tollgate {
namespace {

void Look(absl::string_view text) {
  const absl::StatusOr<std::string> workspace = ParseWorkspaceName(text, "name");
  if (workspace.ok()) {
    FUZZ_CLAIM(IsWorkspaceId(*workspace));
    FUZZ_CLAIM(WorkspaceName(*workspace) == text);
  }
  const absl::StatusOr<TokenName> token = ParseTokenName(text, "name");
  if (token.ok()) {
    FUZZ_CLAIM(IsWorkspaceId(token->workspace));
    FUZZ_CLAIM(IsPublicId(token->token_id));
    FUZZ_CLAIM(FormatTokenName(token->workspace, token->token_id) == text);
  }
  FUZZ_CLAIM(!workspace.ok() || !token.ok());
}

}  // namespace
}  // namespace tollgate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
