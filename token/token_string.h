// The token string, which a client presents (docs/token-format.md describes it for other
// languages):
//
//   tg w _ 4mXp81QzR0aYc7Ld 7Jk0…(43)… 0aB3xY
//   |  |   |                |          |
//   |  |   |                |          6 base62: CRC-32 (IEEE 802.3) of all before, most significant digit first
//   |  |   |                43 base62: 256 random bits
//   |  |   16 base62: the public id
//   |  kind: w workspace, o operator; a access and r refresh are reserved
//   brand
#ifndef TOLLGATE_TOKEN_TOKEN_STRING_H_
#define TOLLGATE_TOKEN_TOKEN_STRING_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/random.h"
#include "base/secret.h"

namespace tollgate::token {

inline constexpr size_t kPublicIdLength = 16;
inline constexpr size_t kSecretLength = 43;
inline constexpr size_t kChecksumLength = 6;
inline constexpr size_t kBodyLength = kPublicIdLength + kSecretLength + kChecksumLength;  // 65

// The letter after the brand.
enum class TokenKind : char { kWorkspace = 'w', kOperator = 'o', kAccess = 'a', kRefresh = 'r' };

// Whether an edge may admit tokens of this kind. One that it may not is refused before the look-up:
// it gives access to Tollgate itself, never to a service.
constexpr bool MayPassAnEdge(TokenKind kind) {
  return kind == TokenKind::kWorkspace || kind == TokenKind::kAccess;
}

// Why a string is not a token string.
enum class TokenDefect { kNone, kLength, kPrefix, kKind, kAlphabet, kChecksum };
// "wrong length", …
absl::string_view TokenDefectName(TokenDefect defect);

// The format of token strings in one installation, which chooses the brand: 2 to 8 lower-case
// letters. Immutable, thread-safe.
class TokenFormat {
 public:
  // The brand `tg`.
  TokenFormat();
  // INVALID_ARGUMENT unless 2 to 8 of a-z.
  static absl::StatusOr<TokenFormat> ForBrand(absl::string_view brand);

  const std::string& brand() const { return brand_; }
  size_t length() const { return brand_.size() + 2 + kBodyLength; }

  // What Parse found; `public_id` is a view into the parsed string.
  struct Parsed {
    TokenKind kind;
    absl::string_view public_id;
  };
  // Takes a string apart and verifies its checksum. Allocates nothing, makes no system call. kNone:
  // `parsed` is set. On any other result the edge refuses the string without asking the service.
  TokenDefect Parse(absl::string_view token_string, Parsed* parsed) const;

  // A fresh token.
  struct Minted {
    std::string public_id;
    base::SecretBytes token_string;
  };
  Minted Mint(TokenKind kind, base::Random& random) const;

 private:
  explicit TokenFormat(std::string brand) : brand_(std::move(brand)) {}
  std::string brand_;
};

// The first token string in `text`, of any brand, with a checksum that holds; empty: there is none.
absl::string_view FindTokenString(absl::string_view text);
// Whether `text` contains one.
inline bool HoldsTokenString(absl::string_view text) { return !FindTokenString(text).empty(); }

// Whether `id` is 16 base62 characters.
bool IsPublicId(absl::string_view id);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_TOKEN_STRING_H_
