// UTF-8 (RFC 3629), strictly: no overlong form, no surrogate, nothing above U+10FFFF.
#ifndef TOLLGATE_POLICY_UTF8_H_
#define TOLLGATE_POLICY_UTF8_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace tollgate::policy {

// Reads the code point at text[*i] and moves *i past it; `*i` is below the text's size. False, and
// nothing moves: no UTF-8 begins there.
bool NextCodePoint(absl::string_view text, size_t* i, uint32_t* code_point);

}  // namespace tollgate::policy

#endif  // TOLLGATE_POLICY_UTF8_H_
