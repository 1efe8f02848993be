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

bool StarIsPlaced(absl::string_view scope) {
  const size_t star = scope.find('*');
  if (star == absl::string_view::npos) return true;
  if (star + 1 != scope.size()) return false;
  return star == 0 || absl::string_view(":/.").find(scope[star - 1]) != absl::string_view::npos;
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
