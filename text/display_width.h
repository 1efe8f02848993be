// How much room text takes on a terminal. Pure.
#ifndef TOLLGATE_TEXT_DISPLAY_WIDTH_H_
#define TOLLGATE_TEXT_DISPLAY_WIDTH_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace tollgate::text {

// The columns that `text` takes: East Asian wide characters and emoji take two, marks and invisible
// characters none, and an emoji that is made of several (a family, a flag, a skin, a keycap) as
// many as one. A byte that belongs to no UTF-8 takes one. Terminals differ on made emoji; those
// that know them show two.
size_t DisplayWidth(absl::string_view text);

}  // namespace tollgate::text

#endif  // TOLLGATE_TEXT_DISPLAY_WIDTH_H_
