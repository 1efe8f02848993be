#include "text/label.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "text/invisible.h"
#include "token/characters.h"
#include "token/field_rules.h"

namespace tollgate::text {
namespace {

// The first and last code point of a run.
struct Run {
  uint32_t first;
  uint32_t last;
};

// Code points that look like the plain space, or break a line.
constexpr Run kOddWhiteSpace[] = {
    {0x0009, 0x000D}, {0x0085, 0x0085}, {0x00A0, 0x00A0}, {0x1680, 0x1680}, {0x2000, 0x200A},
    {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x2800, 0x2800},  // Braille blank
    {0x3000, 0x3000},
};

bool IsOddWhiteSpace(uint32_t point) {
  return std::any_of(std::begin(kOddWhiteSpace), std::end(kOddWhiteSpace),
                     [point](const Run& run) { return run.first <= point && point <= run.last; });
}

bool IsWhiteSpace(uint32_t point) { return point == ' ' || IsOddWhiteSpace(point); }

// Whether the mark at points[i] has nothing to stand on.
bool StandsAlone(const std::vector<uint32_t>& points, size_t i) {
  while (i > 0 && (IsMark(points[i - 1]) || IsInvisible(points[i - 1]))) --i;
  return i == 0 || IsWhiteSpace(points[i - 1]);
}

}  // namespace

absl::Status CheckLabel(absl::string_view label, absl::string_view field) {
  constexpr absl::string_view kRequired =
      "required: say where the token is used, as in \"CI deploy key (GitHub Actions)\"";
  const std::string too_long = absl::StrCat("must be at most ", kMaxLabelLength, " characters");
  if (label.empty()) return base::RefuseField("LABEL_REQUIRED", field, kRequired);
  if (label.size() > 4 * kMaxLabelLength)
    return base::RefuseField("LABEL_TOO_LONG", field, too_long);
  const auto decoded = token::DecodeUtf8(label);
  if (!decoded.has_value()) return base::RefuseField("LABEL_NOT_UTF8", field, "must be UTF-8");
  const std::vector<uint32_t>& points = *decoded;
  if (std::all_of(points.begin(), points.end(), IsWhiteSpace)) {
    return base::RefuseField("LABEL_REQUIRED", field, kRequired);
  }
  if (points.size() > kMaxLabelLength) return base::RefuseField("LABEL_TOO_LONG", field, too_long);
  for (size_t i = 0; i < points.size(); ++i) {
    // A line separator is reported as white space, which it is.
    if ((token::IsControl(points[i]) && points[i] != 0x2028 && points[i] != 0x2029) ||
        (IsInvisible(points[i]) && !InvisibleHasEffect(points, i))) {
      return base::RefuseField("LABEL_CONTROL_CHARACTER", field,
                               absl::StrCat("must not hold control or invisible characters (",
                                            token::NameCodePoint(points[i], i), ")"));
    }
  }
  for (size_t i = 0; i < points.size(); ++i) {
    if (IsOddWhiteSpace(points[i])) {
      return base::RefuseField("LABEL_WHITESPACE", field,
                               absl::StrCat("must not hold white space but the plain space (",
                                            token::NameCodePoint(points[i], i), ")"));
    }
  }
  if (points.front() == ' ' || points.back() == ' ') {
    return base::RefuseField("LABEL_WHITESPACE", field, "must not begin or end with a space");
  }
  if (absl::StrContains(label, "  ")) {  // in a table it reads as another one
    return base::RefuseField("LABEL_WHITESPACE", field, "must not hold two spaces in a row");
  }
  for (size_t i = 0; i < points.size(); ++i) {
    if (IsMark(points[i]) && !IsInvisible(points[i]) && StandsAlone(points, i)) {
      return base::RefuseField(
          "LABEL_LONE_MARK", field,
          absl::StrCat("must not hold a combining mark without a character that it stands on (",
                       token::NameCodePoint(points[i], i), ")"));
    }
  }
  return token::CheckHoldsNoTokenString(label, field);
}

std::string ComparedLabel(absl::string_view label) {
  // Most labels are ASCII, which is its own form.
  if (std::all_of(label.begin(), label.end(), [](char c) { return absl::ascii_isascii(c); })) {
    return std::string(label);
  }
  utf8proc_uint8_t* form = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(label.data()),
                   static_cast<utf8proc_ssize_t>(label.size()), &form,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE |
                                                  UTF8PROC_COMPAT | UTF8PROC_IGNORE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(form, &std::free);
  if (size < 0) return std::string(label);
  return std::string(reinterpret_cast<const char*>(form), static_cast<size_t>(size));
}

}  // namespace tollgate::text
