// Characters that show nothing, and where they do something all the same. Pure.
#ifndef TOLLGATE_TEXT_INVISIBLE_H_
#define TOLLGATE_TEXT_INVISIBLE_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace tollgate::text {

// Whether the code point shows nothing by itself: joiners, variation selectors, tags, fillers.
bool IsInvisible(uint32_t point);

// Whether the invisible character at points[i] changes how its neighbours are written, so that the
// text is not the same without it:
// * a joiner or non-joiner in a script that joins its letters (Persian, Sinhala, Bengali, ...);
// * a joiner between two emoji, a variation selector behind one or within a keycap, and the tags of
//   a flag;
// * a variation selector behind the ideograph or the Mongolian letter that it varies.
// Everywhere else it is there by mistake, or to deceive. False for what is not invisible.
// REQUIRES: i < points.size().
bool InvisibleHasEffect(absl::Span<const uint32_t> points, size_t i);

// Whether the code point is a combining mark: it is written onto the character before it.
bool IsMark(uint32_t point);

}  // namespace tollgate::text

#endif  // TOLLGATE_TEXT_INVISIBLE_H_
