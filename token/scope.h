// Scopes: what a token allows, as in `deploy:write`.
#ifndef TOLLGATE_TOKEN_SCOPE_H_
#define TOLLGATE_TOKEN_SCOPE_H_

#include "absl/strings/string_view.h"

namespace tollgate::token {

// Whether the scope `granted` of a token meets the scope `needed`: when the two are equal, or when
// `granted` ends in `*` and `needed` begins with what stands before the `*` (`items:*` meets
// `items:read`; `*` meets all). A `*` anywhere else, or in `needed`, is an ordinary character.
// Allocates nothing.
bool ScopeGrants(absl::string_view granted, absl::string_view needed);

// Whether `scope` has the form of a scope: 1 to 128 of A-Z a-z 0-9 . _ : / * -
bool IsScope(absl::string_view scope);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_SCOPE_H_
