// How far a word is from one that was meant.
#ifndef TOLLGATE_BASE_EDIT_DISTANCE_H_
#define TOLLGATE_BASE_EDIT_DISTANCE_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace tollgate::base {

// How many bytes are to be changed, added, dropped, or swapped with their neighbour to make `b` of
// `a` (optimal string alignment; Boytsov 2011, "Indexing methods for approximate dictionary
// searching"). Takes time and memory in proportion to the product of their lengths: bound them.
size_t EditDistance(absl::string_view a, absl::string_view b);

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_EDIT_DISTANCE_H_
