// UTF-8, and which of its characters no line of text may hold. Pure.
#ifndef TOLLGATE_TOKEN_CHARACTERS_H_
#define TOLLGATE_TOKEN_CHARACTERS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace tollgate::token {

// Stands for a byte that belongs to no UTF-8.
inline constexpr uint32_t kNoCodePoint = 0xFFFFFFFF;

// The code point at text[*i]; moves *i past it. A byte that begins none counts by itself
// (kNoCodePoint). As RFC 3629 has it: no overlong form, no surrogate, none above U+10FFFF.
// REQUIRES: *i < text.size().
uint32_t NextCodePoint(absl::string_view text, size_t* i);

// The code points of `text`; nullopt where it is not UTF-8.
absl::optional<std::vector<uint32_t>> DecodeUtf8(absl::string_view text);

// Whether the code point turns or breaks a line on a screen, or is no character at all.
bool IsControl(uint32_t point);

// As in "U+200B, character 3", for a message; `at` counts from 0.
std::string NameCodePoint(uint32_t point, size_t at);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_CHARACTERS_H_
