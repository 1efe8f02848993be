// Names of resources, as callers write them.
#include "absl/strings/string_view.h"
#include "tests/fuzz/fuzz.h"
#include "token/resource_name.h"
#include "token/token_string.h"

namespace tollgate::fuzz {
namespace {

void Look(absl::string_view text) {
  const absl::StatusOr<std::string> workspace = token::ParseWorkspaceName(text, "name");
  if (workspace.ok()) {
    FUZZ_CLAIM(token::IsTokenWorkspace(*workspace));
    FUZZ_CLAIM(token::WorkspaceName(*workspace) == text);
  }
  const absl::StatusOr<token::TokenName> token = token::ParseTokenName(text, "name");
  if (token.ok()) {
    FUZZ_CLAIM(token::IsTokenWorkspace(token->workspace));
    FUZZ_CLAIM(token::IsPublicId(token->token_id));
    FUZZ_CLAIM(token::FormatTokenName(token->workspace, token->token_id) == text);
  }
  FUZZ_CLAIM(!workspace.ok() || !token.ok());
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::fuzz::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
