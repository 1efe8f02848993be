#include "token/scope.h"

#include "absl/strings/ascii.h"
#include "token/field_rules.h"

namespace tollgate::token {

bool ScopeGrants(absl::string_view granted, absl::string_view needed) {
  if (granted == needed) return !granted.empty();
  if (granted.empty() || granted.back() != '*') return false;
  granted.remove_suffix(1);
  return needed.substr(0, granted.size()) == granted;
}

bool IsScope(absl::string_view scope) {
  if (scope.empty() || scope.size() > kMaxScopeLength) return false;
  for (const char c : scope) {
    if (!absl::ascii_isalnum(c) && absl::string_view("._:/*-").find(c) == absl::string_view::npos) {
      return false;
    }
  }
  return true;
}

}  // namespace tollgate::token
