#include "policy/utf8.h"

namespace tollgate::policy {

bool NextCodePoint(absl::string_view text, size_t* i, uint32_t* code_point) {
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(text[at]); };
  const uint8_t first = byte(*i);
  if (first < 0x80) {
    *code_point = first;
    ++*i;
    return true;
  }
  const size_t length = (first >> 5) == 6 ? 2 : (first >> 4) == 14 ? 3 : (first >> 3) == 30 ? 4 : 0;
  if (length == 0 || length > text.size() - *i) return false;
  uint32_t point = first & (0x7F >> length);
  for (size_t k = 1; k < length; ++k) {
    if ((byte(*i + k) & 0xC0) != 0x80) return false;
    point = (point << 6) | (byte(*i + k) & 0x3F);
  }
  const uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  if (point < least || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return false;
  *i += length;
  *code_point = point;
  return true;
}

}  // namespace tollgate::policy
