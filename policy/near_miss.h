// The word that was probably meant.
#ifndef TOLLGATE_POLICY_NEAR_MISS_H_
#define TOLLGATE_POLICY_NEAR_MISS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tollgate::policy {

// The nearest of `known` to a word that is none of them; empty where none is near: more than a
// third of the letters would have to change.
std::string NearMiss(absl::string_view word, absl::Span<const absl::string_view> known);

}  // namespace tollgate::policy

#endif  // TOLLGATE_POLICY_NEAR_MISS_H_
