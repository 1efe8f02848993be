// What a label may hold, and by what two labels are the same. docs/labels.md tells users. Pure.
#ifndef TOLLGATE_TEXT_LABEL_H_
#define TOLLGATE_TEXT_LABEL_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tollgate::text {

inline constexpr size_t kMaxLabelLength = 200;  // characters (code points), not bytes

// INVALID_ARGUMENT, with the field:
// LABEL_REQUIRED (empty, or nothing but white space), LABEL_TOO_LONG, LABEL_NOT_UTF8,
// LABEL_CONTROL_CHARACTER (C0, C1, bidi controls, and invisible characters where they have no
// effect: invisible.h), LABEL_LONE_MARK (a combining mark at the beginning or behind a space, where
// there is nothing for it to stand on), LABEL_WHITESPACE (leading, trailing, doubled, or any white
// space but the plain space: look-alikes deceive), CONTAINS_TOKEN_STRING (token/field_rules.h).
absl::Status CheckLabel(absl::string_view label, absl::string_view field);

// What labels are compared by where they must be unique: Unicode's normal form NFKC, without
// invisible characters. Composed or decomposed, in full width or as a ligature: what reads the same
// is the same. Upper and lower case differ. What is no UTF-8 is its own form. Applied twice it
// changes nothing. It holds no 0 byte where `label` holds none, and is at most some 20 times as
// long.
//
// The store's keys are made of it (storage/schema.h). Unicode promises that the form of a character
// that it has assigned never changes.
std::string ComparedLabel(absl::string_view label);

}  // namespace tollgate::text

#endif  // TOLLGATE_TEXT_LABEL_H_
