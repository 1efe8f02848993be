#include "validator/fronts/asked_requirement.h"

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "token/field_rules.h"
#include "token/scope.h"
#include "token/scope_expression.h"

namespace tollgate::validator {
namespace {

// A longer workspace than any id. What lies beyond changes no answer.
constexpr size_t kLongestWorkspace = 128;

absl::Status ReadScopeExpression(const std::string& text, const std::string& field,
                                 token::ScopeExpression* expression) {
  absl::StatusOr<token::ScopeExpression> parsed = token::ScopeExpression::Parse(text);
  if (parsed.ok()) {
    *expression = *std::move(parsed);
    return absl::OkStatus();
  }
  // The parser's words quote the text, and must not quote a secret (I6).
  RETURN_IF_ERROR(token::CheckHoldsNoTokenString(
      absl::string_view(text).substr(0, token::ScopeExpression::kMaxLength), field));
  return base::RefuseField(base::ReasonOf(parsed.status()), field, parsed.status().message());
}

}  // namespace

absl::Status ReadRequirement(const tollgate::v1::Requirement& asked, const std::string& path,
                             token::Requirement* requirement) {
  const auto read = [&](const auto& scopes, absl::string_view field,
                        std::vector<std::string>* into) {
    bool fits = static_cast<size_t>(scopes.size()) <= token::kMaxScopes;
    for (const std::string& scope : scopes) fits = fits && scope.size() <= token::kMaxScopeLength;
    if (!fits) {
      return base::RefuseField("REQUIREMENT_TOO_LARGE", absl::StrCat(path, "requirement.", field),
                               absl::StrCat("at most ", token::kMaxScopes, " scopes, each at most ",
                                            token::kMaxScopeLength, " characters"));
    }
    // Refused, because it could be met by nobody but an old token: it was meant to reach further.
    for (int i = 0; i < scopes.size(); ++i) {
      if (token::StarIsPlaced(scopes[i])) continue;
      const std::string at = absl::StrCat(path, "requirement.", field, "[", i, "]");
      RETURN_IF_ERROR(token::CheckHoldsNoTokenString(scopes[i], at));
      return base::RefuseField("SCOPE_STAR_MISPLACED", at, token::kStarRule);
    }
    into->assign(scopes.begin(), scopes.end());
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(read(asked.any_scopes(), "any_scopes", &requirement->any_scopes));
  RETURN_IF_ERROR(read(asked.all_scopes(), "all_scopes", &requirement->all_scopes));
  if (asked.audience().size() > token::kMaxAudienceLength) {
    return base::RefuseField("REQUIREMENT_TOO_LARGE", absl::StrCat(path, "requirement.audience"),
                             absl::StrCat("at most ", token::kMaxAudienceLength, " characters"));
  }
  requirement->audience = asked.audience();
  if (!asked.scope_expression().empty()) {
    RETURN_IF_ERROR(ReadScopeExpression(asked.scope_expression(),
                                        absl::StrCat(path, "requirement.scope_expression"),
                                        &requirement->scope_expression));
  }
  // Often a part of a stranger's URL. What is no id is the workspace of no token, and gets that
  // answer, because an error would refuse the other checks of a batch with it. A resource's name is
  // a mistake in the caller's code, which WRONG_WORKSPACE would hide.
  requirement->workspace = asked.workspace().substr(0, kLongestWorkspace);
  if (absl::StartsWith(requirement->workspace, "workspaces/")) {
    return base::RefuseField("WORKSPACE_ID_MALFORMED", absl::StrCat(path, "requirement.workspace"),
                             "must be the workspace's id alone: acme, and not workspaces/acme");
  }
  return absl::OkStatus();
}

}  // namespace tollgate::validator
