// Finds token strings in whatever bytes are fed to it.
#ifndef TOLLGATE_LEAKS_TOKEN_SCANNER_H_
#define TOLLGATE_LEAKS_TOKEN_SCANNER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "token/digest.h"
#include "token/token_string.h"

namespace tollgate::leaks {

// A token string that was found, without its secret: nothing here is more than an edge knows.
struct FoundToken {
  uint64_t offset = 0;  // of its first byte, from 0
  uint64_t line = 0;    // from 1; lines end with '\n'
  uint64_t column = 0;  // of its first byte in that line, from 1
  token::TokenKind kind = token::TokenKind::kWorkspace;
  std::string brand;
  std::string public_id;
  token::EdgeDigest digest;  // which RevokeLeakedToken takes
};

// Scans one input after the other, each fed in pieces of any size; a token string that lies across
// pieces is found as any other. Found is what has the format of one of the brands and a checksum
// that holds, whatever stands around it: text, more letters, binary data.
//
// Time is linear in what is fed, whatever it holds; of it the last 74 bytes are kept, and wiped
// when the scanner starts over or is destroyed. Allocates only for what it finds. Not thread-safe.
class TokenScanner {
 public:
  static constexpr size_t kMostBrands = 16;

  // INVALID_ARGUMENT: none or too many brands (BRANDS_COUNT), or one that is none
  // (BRAND_MALFORMED).
  static absl::StatusOr<TokenScanner> ForBrands(absl::Span<const std::string> brands);
  ~TokenScanner();
  TokenScanner(TokenScanner&&) = default;
  TokenScanner& operator=(TokenScanner&&) = default;
  TokenScanner(const TokenScanner&) = delete;
  TokenScanner& operator=(const TokenScanner&) = delete;

  // Calls `found` for each token string that ends in this piece, in the order of their `_`. The
  // scanner keeps no view of `piece`, which the caller wipes where it should not stay.
  void Feed(absl::string_view piece, absl::FunctionRef<void(const FoundToken&)> found);

  // What is fed from here on is another input.
  void StartOver();

 private:
  // No token string is longer: a brand of 8 letters, kind, `_`, body.
  static constexpr size_t kLongest = 8 + 2 + token::kBodyLength;

  explicit TokenScanner(std::vector<token::TokenFormat> formats);

  // The token string whose `_` is text[at]; false: there is none.
  bool Judge(absl::string_view text, size_t at, FoundToken* found, size_t* length) const;
  // Moves line_ and line_begin_ over bytes that begin at the offset `from`.
  void CountLines(absl::string_view bytes, uint64_t from);
  void Keep(absl::string_view piece);

  std::vector<token::TokenFormat> formats_;
  size_t longest_ = 0;  // of these formats
  std::array<char, kLongest - 1> kept_{};
  size_t kept_size_ = 0;
  uint64_t fed_ = 0;
  uint64_t line_ = 1;
  uint64_t line_begin_ = 0;  // the offset
};

}  // namespace tollgate::leaks

#endif  // TOLLGATE_LEAKS_TOKEN_SCANNER_H_
