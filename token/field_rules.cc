#include "token/field_rules.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "base/status.h"
#include "token/edge_annotations.h"
#include "token/scope.h"
#include "token/token_string.h"

namespace tollgate::token {
namespace {

// The first and last code point of a run.
struct Run {
  uint32_t first;
  uint32_t last;
};

// Code points that turn or break a line on a screen, or are not characters at all.
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

// Code points that show nothing: with them two different labels could look the same.
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
    {0xE0000, 0xE0FFF},  // tags, variation selectors supplement
};

// Code points that look like the plain space, or break a line.
constexpr Run kOddWhiteSpace[] = {
    {0x0009, 0x000D}, {0x0085, 0x0085}, {0x00A0, 0x00A0}, {0x1680, 0x1680}, {0x2000, 0x200A},
    {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x2800, 0x2800},  // Braille blank
    {0x3000, 0x3000},
};

bool In(absl::Span<const Run> runs, uint32_t c) {
  return std::any_of(runs.begin(), runs.end(),
                     [c](const Run& run) { return run.first <= c && c <= run.last; });
}

bool IsControl(uint32_t c) { return In(kControls, c) || (c & 0xFFFE) == 0xFFFE; }
bool IsWhiteSpace(uint32_t c) { return c == ' ' || In(kOddWhiteSpace, c); }

// The code points of UTF-8 (RFC 3629: no overlong form, no surrogate, none
// above U+10FFFF); nullopt where it is not UTF-8. `s` is bounded already.
absl::optional<std::vector<uint32_t>> Decode(absl::string_view s) {
  std::vector<uint32_t> out;
  out.reserve(s.size());
  size_t i = 0;
  while (i < s.size()) {
    const auto lead = static_cast<uint8_t>(s[i++]);
    int more;
    uint32_t least;
    uint32_t c;
    if (lead < 0x80) {
      out.push_back(lead);
      continue;
    } else if (lead >> 5 == 0b110) {
      more = 1, least = 0x80, c = lead & 0x1F;
    } else if (lead >> 4 == 0b1110) {
      more = 2, least = 0x800, c = lead & 0x0F;
    } else if (lead >> 3 == 0b11110) {
      more = 3, least = 0x10000, c = lead & 0x07;
    } else {
      return absl::nullopt;
    }
    for (; more > 0; --more) {
      if (i == s.size() || static_cast<uint8_t>(s[i]) >> 6 != 0b10) return absl::nullopt;
      c = c << 6 | (static_cast<uint8_t>(s[i++]) & 0x3F);
    }
    if (c < least || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return absl::nullopt;
    out.push_back(c);
  }
  return out;
}

std::string CodePoint(uint32_t c, size_t at) {
  return absl::StrFormat("U+%04X, character %d", c, at + 1);
}

bool VisibleAscii(absl::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

// At most `most` characters of text on one line. Decodes the bytes only when they are few enough.
absl::Status CheckText(absl::string_view text, size_t most, absl::string_view too_long_reason,
                       absl::string_view not_text_reason, absl::string_view field) {
  const std::string too_long = absl::StrCat("must be at most ", most, " characters");
  if (text.size() > 4 * most) return base::RefuseField(too_long_reason, field, too_long);
  const auto code_points = Decode(text);
  if (!code_points.has_value()) return base::RefuseField(not_text_reason, field, "must be UTF-8");
  if (code_points->size() > most) return base::RefuseField(too_long_reason, field, too_long);
  for (size_t i = 0; i < code_points->size(); ++i) {
    if (IsControl((*code_points)[i])) {
      return base::RefuseField(
          not_text_reason, field,
          absl::StrCat("must be text on one line, without control characters (",
                       CodePoint((*code_points)[i], i), ")"));
    }
  }
  return CheckHoldsNoTokenString(text, field);
}

std::string At(absl::string_view field, int i) { return absl::StrCat(field, "[", i, "]"); }

// The index of the first element that equals an earlier one; -1: none. A list is short, so
// comparing each with each is cheaper than hashing.
int FirstRepeated(const google::protobuf::RepeatedPtrField<std::string>& list) {
  for (int i = 1; i < list.size(); ++i) {
    for (int k = 0; k < i; ++k) {
      if (list[i] == list[k]) return i;
    }
  }
  return -1;
}

}  // namespace

absl::Status CheckHoldsNoTokenString(absl::string_view text, absl::string_view field) {
  if (!HoldsTokenString(text)) return absl::OkStatus();
  return base::RefuseField(
      "CONTAINS_TOKEN_STRING", field,
      "must not hold a token string: it is a secret, and exposed now. Revoke that "
      "token; name tokens by their id");
}

absl::Status CheckLabel(absl::string_view label, absl::string_view field) {
  constexpr absl::string_view kRequired =
      "required: say where the token is used, as in \"CI deploy key (GitHub Actions)\"";
  const std::string too_long = absl::StrCat("must be at most ", kMaxLabelLength, " characters");
  if (label.empty()) return base::RefuseField("LABEL_REQUIRED", field, kRequired);
  if (label.size() > 4 * kMaxLabelLength)
    return base::RefuseField("LABEL_TOO_LONG", field, too_long);
  const auto decoded = Decode(label);
  if (!decoded.has_value()) return base::RefuseField("LABEL_NOT_UTF8", field, "must be UTF-8");
  const std::vector<uint32_t>& points = *decoded;
  if (std::all_of(points.begin(), points.end(), IsWhiteSpace)) {
    return base::RefuseField("LABEL_REQUIRED", field, kRequired);
  }
  if (points.size() > kMaxLabelLength) return base::RefuseField("LABEL_TOO_LONG", field, too_long);
  for (size_t i = 0; i < points.size(); ++i) {
    // A line separator is reported as white space, which it is.
    if ((IsControl(points[i]) && points[i] != 0x2028 && points[i] != 0x2029) ||
        In(kInvisible, points[i])) {
      return base::RefuseField("LABEL_CONTROL_CHARACTER", field,
                               absl::StrCat("must not hold control or invisible characters (",
                                            CodePoint(points[i], i), ")"));
    }
  }
  for (size_t i = 0; i < points.size(); ++i) {
    if (In(kOddWhiteSpace, points[i])) {
      return base::RefuseField("LABEL_WHITESPACE", field,
                               absl::StrCat("must not hold white space but the plain space (",
                                            CodePoint(points[i], i), ")"));
    }
  }
  if (points.front() == ' ' || points.back() == ' ') {
    return base::RefuseField("LABEL_WHITESPACE", field, "must not begin or end with a space");
  }
  if (absl::StrContains(label, "  ")) {  // in a table it reads as another one
    return base::RefuseField("LABEL_WHITESPACE", field, "must not hold two spaces in a row");
  }
  return CheckHoldsNoTokenString(label, field);
}

absl::Status CheckScopes(const google::protobuf::RepeatedPtrField<std::string>& scopes,
                         absl::string_view field) {
  if (static_cast<size_t>(scopes.size()) > kMaxScopes) {
    return base::RefuseField("TOO_MANY_SCOPES", field,
                             absl::StrCat("must be at most ", kMaxScopes));
  }
  for (int i = 0; i < scopes.size(); ++i) {
    if (!IsScope(scopes[i])) {
      return base::RefuseField("SCOPE_MALFORMED", At(field, i),
                               "must be 1 to 128 of A-Z a-z 0-9 . _ : / * -, as in deploy:write");
    }
    RETURN_IF_ERROR(CheckHoldsNoTokenString(scopes[i], At(field, i)));
  }
  if (const int i = FirstRepeated(scopes); i >= 0) {
    return base::RefuseField("SCOPE_REPEATED", At(field, i),
                             "is in the list already: name it once");
  }
  return absl::OkStatus();
}

absl::Status CheckScopeStars(const google::protobuf::RepeatedPtrField<std::string>& scopes,
                             const google::protobuf::RepeatedPtrField<std::string>& held,
                             absl::string_view field) {
  for (int i = 0; i < scopes.size(); ++i) {
    if (StarIsPlaced(scopes[i])) continue;
    if (std::find(held.begin(), held.end(), scopes[i]) != held.end()) continue;
    return base::RefuseField("SCOPE_STAR_MISPLACED", At(field, i),
                             absl::StrCat("'", scopes[i], "': ", kStarRule));
  }
  return absl::OkStatus();
}

absl::Status CheckAudiences(const google::protobuf::RepeatedPtrField<std::string>& audiences,
                            absl::string_view field) {
  if (static_cast<size_t>(audiences.size()) > kMaxAudiences) {
    return base::RefuseField("TOO_MANY_AUDIENCES", field,
                             absl::StrCat("must be at most ", kMaxAudiences));
  }
  for (int i = 0; i < audiences.size(); ++i) {
    const std::string& audience = audiences[i];
    if (audience.empty() || audience.size() > kMaxAudienceLength || !VisibleAscii(audience)) {
      return base::RefuseField("AUDIENCE_MALFORMED", At(field, i),
                               "must be 1 to 128 visible ASCII characters, as in payments");
    }
    RETURN_IF_ERROR(CheckHoldsNoTokenString(audience, At(field, i)));
  }
  if (const int i = FirstRepeated(audiences); i >= 0) {
    return base::RefuseField("AUDIENCE_REPEATED", At(field, i),
                             "is in the list already: name it once");
  }
  return absl::OkStatus();
}

absl::Status CheckOwner(absl::string_view owner, absl::string_view field) {
  if (owner.size() > kMaxOwnerLength) {
    return base::RefuseField("OWNER_TOO_LONG", field,
                             absl::StrCat("must be at most ", kMaxOwnerLength, " characters"));
  }
  if (!VisibleAscii(owner)) {
    return base::RefuseField(
        "OWNER_MALFORMED", field,
        "must be visible ASCII characters without white space, as in team:payments");
  }
  return CheckHoldsNoTokenString(owner, field);
}

absl::Status CheckAnnotations(const google::protobuf::Map<std::string, std::string>& annotations,
                              absl::string_view field) {
  if (annotations.size() > kMaxAnnotations) {
    return base::RefuseField("TOO_MANY_ANNOTATIONS", field,
                             absl::StrCat("must be at most ", kMaxAnnotations, " pairs"));
  }
  // Sorted, because a map has no order of its own and the same request must get the same answer.
  std::vector<absl::string_view> keys;
  for (const auto& pair : annotations) keys.push_back(pair.first);
  std::sort(keys.begin(), keys.end());
  for (const absl::string_view key : keys) {
    if (!IsAnnotationKey(key)) {
      return base::RefuseField(
          "ANNOTATION_KEY_MALFORMED", field,
          "a key must be 1 to 63 of A-Z a-z 0-9 . _ / - and begin with a letter or "
          "digit");
    }
    RETURN_IF_ERROR(CheckText(annotations.at(std::string(key)), kMaxAnnotationValueLength,
                              "ANNOTATION_VALUE_TOO_LONG", "ANNOTATION_NOT_TEXT",
                              absl::StrCat(field, "[", key, "]")));
  }
  return absl::OkStatus();
}

absl::Status CheckReason(absl::string_view reason, absl::string_view field) {
  return CheckText(reason, kMaxReasonLength, "REASON_TOO_LONG", "REASON_NOT_TEXT", field);
}

absl::Status CheckRequestId(absl::string_view request_id, absl::string_view field) {
  if (request_id.size() > kMaxRequestIdLength || !VisibleAscii(request_id)) {
    return base::RefuseField("REQUEST_ID_MALFORMED", field,
                             "must be at most 64 visible ASCII characters, as in a UUID");
  }
  return absl::OkStatus();
}

absl::Status CheckValidatorId(absl::string_view validator_id, absl::string_view field) {
  const bool good = !validator_id.empty() && validator_id.size() <= 128 &&
                    std::all_of(validator_id.begin(), validator_id.end(), [](char c) {
                      return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '/' || c == '-';
                    });
  if (!good) {
    return base::RefuseField("VALIDATOR_ID_MALFORMED", field,
                             "must be 1 to 128 of A-Z a-z 0-9 . _ / -, as in payments/edge-3");
  }
  return CheckHoldsNoTokenString(validator_id, field);
}

}  // namespace tollgate::token
