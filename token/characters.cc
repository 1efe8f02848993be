#include "token/characters.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_format.h"

namespace tollgate::token {
namespace {

// The first and last code point of a run.
struct Run {
  uint32_t first;
  uint32_t last;
};

constexpr Run kControls[] = {
    {0x0000, 0x001F},    // C0
    {0x007F, 0x009F},    // DEL, C1
    {0x061C, 0x061C},    // Arabic letter mark
    {0x200E, 0x200F},    // left-to-right and right-to-left marks
    {0x2028, 0x2029},    // line and paragraph separators
    {0x202A, 0x202E},    // bidi embeddings and overrides
    {0x2066, 0x2069},    // bidi isolates
    {0xFDD0, 0xFDEF},    // noncharacters; the last two of each plane: IsControl
    {0xFFF9, 0xFFFB},    // interlinear annotation
    {0x1BCA0, 0x1BCA3},  // shorthand format controls
    {0x1D173, 0x1D17A},  // musical format controls
};

}  // namespace

uint32_t NextCodePoint(absl::string_view text, size_t* i) {
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(text[at]); };
  const size_t begin = (*i)++;
  const uint8_t first = byte(begin);
  if (first < 0x80) return first;
  const size_t length = (first >> 5) == 6 ? 2 : (first >> 4) == 14 ? 3 : (first >> 3) == 30 ? 4 : 0;
  if (length == 0 || begin + length > text.size()) return kNoCodePoint;
  uint32_t point = first & (0x7F >> length);
  for (size_t k = 1; k < length; ++k) {
    if ((byte(begin + k) & 0xC0) != 0x80) return kNoCodePoint;
    point = (point << 6) | (byte(begin + k) & 0x3F);
  }
  const uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  if (point < least || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) {
    return kNoCodePoint;
  }
  *i = begin + length;
  return point;
}

absl::optional<std::vector<uint32_t>> DecodeUtf8(absl::string_view text) {
  std::vector<uint32_t> points;
  points.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const uint32_t point = NextCodePoint(text, &i);
    if (point == kNoCodePoint) return absl::nullopt;
    points.push_back(point);
  }
  return points;
}

bool IsControl(uint32_t point) {
  return (point & 0xFFFE) == 0xFFFE ||
         std::any_of(std::begin(kControls), std::end(kControls),
                     [point](const Run& run) { return run.first <= point && point <= run.last; });
}

std::string NameCodePoint(uint32_t point, size_t at) {
  return absl::StrFormat("U+%04X, character %d", point, at + 1);
}

}  // namespace tollgate::token
