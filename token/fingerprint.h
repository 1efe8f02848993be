// A hash over several values, where the store that makes fingerprints of its commits and whoever
// checks them can both reach it.
#ifndef TOLLGATE_TOKEN_FINGERPRINT_H_
#define TOLLGATE_TOKEN_FINGERPRINT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tollgate::token {

// BLAKE2b-256 (unkeyed), 32 bytes, of `domain` and of each part in order, each behind its length (8
// bytes, little endian): no other parts have the same bytes. `domain` says what is hashed, so that
// what was hashed for one purpose says nothing for another.
std::string Fingerprint(absl::string_view domain, absl::Span<const absl::string_view> parts);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_FINGERPRINT_H_
