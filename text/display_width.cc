#include "text/display_width.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>

#include "token/characters.h"

namespace tollgate::text {
namespace {

constexpr utf8proc_int32_t kEmojiStyle = 0xFE0F;  // makes an emoji of a sign

// Whether it is a narrow sign that is also an emoji, or that a keycap may be around.
bool IsSign(utf8proc_int32_t point) {
  const bool key = (point >= '0' && point <= '9') || point == '#' || point == '*';
  return key || (utf8proc_charwidth(point) == 1 && utf8proc_get_property(point)->boundclass ==
                                                       UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC);
}

bool IsSkinTone(utf8proc_int32_t point) { return point >= 0x1F3FB && point <= 0x1F3FF; }

// Of a character that goes on with the one before it: what it adds to that one's width.
size_t AddedWidth(utf8proc_int32_t before, utf8proc_int32_t point) {
  switch (utf8proc_get_property(point)->boundclass) {
    case UTF8PROC_BOUNDCLASS_EXTEND:  // a mark, a tag, a style, a skin, a half-width sound mark
      if (point == kEmojiStyle) return IsSign(before) ? 1 : 0;
      return IsSkinTone(point) ? 0 : static_cast<size_t>(utf8proc_charwidth(point));
    case UTF8PROC_BOUNDCLASS_ZWJ:
    case UTF8PROC_BOUNDCLASS_V:  // of a Hangul syllable
    case UTF8PROC_BOUNDCLASS_T:
    case UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC:  // behind a joiner
      return 0;
    default:
      return static_cast<size_t>(utf8proc_charwidth(point));
  }
}

}  // namespace

size_t DisplayWidth(absl::string_view text) {
  // Most text is ASCII.
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; })) {
    return text.size();
  }
  size_t total = 0;
  size_t width = 0;  // of the character that the last code point belongs to
  utf8proc_int32_t last = -1;
  utf8proc_int32_t state = 0;
  for (size_t i = 0; i < text.size();) {
    const uint32_t decoded = token::NextCodePoint(text, &i);
    if (decoded == token::kNoCodePoint) {
      total += width + 1;
      width = 0;
      last = -1;
      continue;
    }
    const auto point = static_cast<utf8proc_int32_t>(decoded);
    if (last >= 0 && !utf8proc_grapheme_break_stateful(last, point, &state)) {
      width += AddedWidth(last, point);
    } else {
      total += width;
      width = static_cast<size_t>(utf8proc_charwidth(point));
      state = 0;
    }
    last = point;
  }
  return total + width;
}

}  // namespace tollgate::text
