#include "text/invisible.h"

#include <utf8proc.h>

#include <algorithm>

namespace tollgate::text {
namespace {

// The first and last code point of a run.
struct Run {
  uint32_t first;
  uint32_t last;
};

constexpr Run kInvisible[] = {
    {0x00AD, 0x00AD},    // soft hyphen
    {0x034F, 0x034F},    // combining grapheme joiner
    {0x115F, 0x1160},    // Hangul fillers
    {0x17B4, 0x17B5},    // Khmer inherent vowels
    {0x180B, 0x180F},    // Mongolian variation selectors and vowel separator
    {0x200B, 0x200D},    // zero-width space, non-joiner, joiner
    {0x2060, 0x2065},    // word joiner, invisible operators
    {0x206A, 0x206F},    // deprecated format characters
    {0x3164, 0x3164},    // Hangul filler
    {0xFE00, 0xFE0F},    // variation selectors
    {0xFEFF, 0xFEFF},    // BOM, zero-width no-break space
    {0xFFA0, 0xFFA0},    // half-width Hangul filler
    {0xFFF0, 0xFFF8},    // unassigned, and to be drawn as nothing
    {0xE0000, 0xE0FFF},  // tags, variation selectors supplement
};

// Blocks of the scripts in which letters join, or form conjuncts, so that a joiner shows.
constexpr Run kJoiningScripts[] = {
    {0x0600, 0x08FF},    // Arabic, Syriac, Thaana, N'Ko, Mandaic, and their extensions
    {0x0900, 0x0DFF},    // Devanagari to Sinhala
    {0x0F00, 0x109F},    // Tibetan, Myanmar
    {0x1780, 0x18AF},    // Khmer, Mongolian
    {0x1B00, 0x1C4F},    // Balinese to Lepcha
    {0xA840, 0xA8FF},    // Phags-pa to Devanagari Extended
    {0xA980, 0xA9FF},    // Javanese, Myanmar Extended
    {0xFB50, 0xFDCF},    // Arabic presentation forms A
    {0xFDF0, 0xFDFF},    // and the rest of them
    {0xFE70, 0xFEFC},    // Arabic presentation forms B
    {0x10A00, 0x10FFF},  // Kharoshthi to Sogdian, Hanifi Rohingya
    {0x11000, 0x11FFF},  // Brahmi and what came of it
    {0x1E900, 0x1E95F},  // Adlam
};

constexpr Run kIdeographs[] = {
    {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xF900, 0xFAFF}, {0x20000, 0x3FFFD}};

constexpr uint32_t kNonJoiner = 0x200C;
constexpr uint32_t kJoiner = 0x200D;
constexpr uint32_t kTextStyle = 0xFE0E;
constexpr uint32_t kEmojiStyle = 0xFE0F;
constexpr uint32_t kKeycap = 0x20E3;
constexpr uint32_t kBlackFlag = 0x1F3F4;
constexpr uint32_t kEndOfTags = 0xE007F;
constexpr size_t kMostTags = 6;  // a region, and its part: gbeng

bool In(absl::Span<const Run> runs, uint32_t point) {
  return std::any_of(runs.begin(), runs.end(),
                     [point](const Run& run) { return run.first <= point && point <= run.last; });
}

utf8proc_category_t Category(uint32_t point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(point));
}

bool IsLetterOrMark(uint32_t point) {
  const utf8proc_category_t category = Category(point);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_ME;
}

bool IsWordCharacter(uint32_t point) {
  const utf8proc_category_t category = Category(point);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO;
}

bool Joins(uint32_t point) {
  return In(kJoiningScripts, point) && IsLetterOrMark(point) && !IsInvisible(point);
}

bool IsPictograph(uint32_t point) {
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(point))->boundclass ==
         UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC;
}

bool IsSkinTone(uint32_t point) { return point >= 0x1F3FB && point <= 0x1F3FF; }

bool IsTag(uint32_t point) {
  return (point >= 0xE0030 && point <= 0xE0039) || (point >= 0xE0061 && point <= 0xE007A);
}

// The tags of a flag: a black flag, 1 to kMostTags tags, and their end.
bool InTagsOfFlag(absl::Span<const uint32_t> points, size_t i) {
  size_t begin = i;
  while (begin > 0 && IsTag(points[begin - 1])) --begin;
  if (begin == 0 || points[begin - 1] != kBlackFlag) return false;
  size_t end = begin;
  while (end < points.size() && IsTag(points[end])) ++end;
  return end < points.size() && points[end] == kEndOfTags && end > begin && i <= end &&
         end - begin <= kMostTags;
}

// A joiner between two emoji; the first may have a style and a skin.
bool JoinsEmoji(absl::Span<const uint32_t> points, size_t i) {
  if (i + 1 >= points.size() || !IsPictograph(points[i + 1])) return false;
  size_t before = i;
  while (before > 0 && (points[before - 1] == kEmojiStyle || IsSkinTone(points[before - 1]))) {
    --before;
  }
  return before > 0 && IsPictograph(points[before - 1]);
}

}  // namespace

bool IsInvisible(uint32_t point) { return In(kInvisible, point); }

bool IsMark(uint32_t point) {
  const utf8proc_category_t category = Category(point);
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME;
}

bool InvisibleHasEffect(absl::Span<const uint32_t> points, size_t i) {
  const uint32_t point = points[i];
  if (i == 0 || !IsInvisible(point)) return false;
  const uint32_t before = points[i - 1];
  const bool is_last = i + 1 == points.size();
  if (point ==
      kNonJoiner) {  // Persian also writes it between a Latin word, or a number, and its ending
    if (is_last) return false;
    const uint32_t after = points[i + 1];
    return (Joins(before) && IsWordCharacter(after)) || (IsWordCharacter(before) && Joins(after));
  }
  if (point == kJoiner) return Joins(before) || JoinsEmoji(points, i);
  if (point == kTextStyle || point == kEmojiStyle) {
    if (IsPictograph(before)) return true;
    const bool key = (before >= '0' && before <= '9') || before == '#' || before == '*';
    return key && !is_last && points[i + 1] == kKeycap;
  }
  if (point >= 0x180B && point <= 0x180F) return before >= 0x1820 && before <= 0x18AA;
  if ((point >= 0xFE00 && point <= 0xFE02) || (point >= 0xE0100 && point <= 0xE01EF)) {
    return In(kIdeographs, before);
  }
  return InTagsOfFlag(points, i);
}

}  // namespace tollgate::text
