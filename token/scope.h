// Scopes: what a token allows, as in `deploy:write`; docs/scopes.md tells users the same.
#ifndef TOLLGATE_TOKEN_SCOPE_H_
#define TOLLGATE_TOKEN_SCOPE_H_

#include "absl/strings/string_view.h"

namespace tollgate::token {

// Whether the scope `granted` of a token meets the scope `needed`: when the two are equal, or when
// `granted` ends in `*` and `needed` begins with what stands before the `*` (`items:*` meets
// `items:read`, `items:read:all` and `items:*`, and not `items`; `*` meets all). A `*` anywhere
// else, or in `needed`, is an ordinary character. Allocates nothing.
//
// A scope whose star is not placed (StarIsPlaced) reaches into other names: `repo*` meets
// `report:all`. No new token is given one; an old token keeps it, and what it means.
bool ScopeGrants(absl::string_view granted, absl::string_view needed);

// Whether `scope` has no `*`, or one that stands where it has a meaning: alone (`*`), or last and
// behind a separator, one of : / . (`items:*`). Allocates nothing.
bool StarIsPlaced(absl::string_view scope);

// That rule in words, for whoever broke it.
inline constexpr absl::string_view kStarRule =
    "a * stands alone, or last and behind one of : / . as in repo:* (repo* would reach into other "
    "names: report:all)";

// Whether `scope` has the form of a scope: 1 to 128 of A-Z a-z 0-9 . _ : / * -
bool IsScope(absl::string_view scope);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_SCOPE_H_
