#include "token/token_string.h"

#include <sodium.h>

#include <array>
#include <cstdint>

#include "base/invariant.h"
#include "base/status.h"

namespace tollgate::token {
namespace {

constexpr char kBase62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

constexpr std::array<bool, 256> MakeIsBase62() {
  std::array<bool, 256> is{};
  for (int i = 0; i < 62; ++i) is[static_cast<uint8_t>(kBase62[i])] = true;
  return is;
}
constexpr std::array<bool, 256> kIsBase62 = MakeIsBase62();

bool AllBase62(absl::string_view s) {
  // No early exit: a string that passes is the common case, and a fixed length
  // lets the compiler unroll.
  bool all = true;
  for (const char c : s) all &= kIsBase62[static_cast<uint8_t>(c)];
  return all;
}

// CRC-32 (IEEE 802.3, reflected polynomial), four bytes at a time: the k-th
// table advances a byte by k more zero bytes. 4 KiB, a third of the time of one table.
constexpr std::array<std::array<uint32_t, 256>, 4> MakeCrcTables() {
  std::array<std::array<uint32_t, 256>, 4> tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0u);
    tables[0][i] = crc;
  }
  for (uint32_t i = 0; i < 256; ++i) {
    for (int k = 1; k < 4; ++k) {
      const uint32_t before = tables[k - 1][i];
      tables[k][i] = before >> 8 ^ tables[0][before & 255];
    }
  }
  return tables;
}
constexpr std::array<std::array<uint32_t, 256>, 4> kCrc = MakeCrcTables();

uint32_t Crc32(absl::string_view s) {
  uint32_t crc = 0xFFFFFFFFu;
  const auto* p = reinterpret_cast<const uint8_t*>(s.data());
  size_t left = s.size();
  for (; left >= 4; left -= 4, p += 4) {
    crc ^= uint32_t{p[0]} | uint32_t{p[1]} << 8 | uint32_t{p[2]} << 16 | uint32_t{p[3]} << 24;
    crc = kCrc[3][crc & 255] ^ kCrc[2][crc >> 8 & 255] ^ kCrc[1][crc >> 16 & 255] ^
          kCrc[0][crc >> 24];
  }
  for (; left > 0; --left, ++p) crc = crc >> 8 ^ kCrc[0][(crc ^ *p) & 255];
  return ~crc;
}

// Six digits hold every CRC: 62^6 > 2^32.
std::array<char, kChecksumLength> ChecksumOf(absl::string_view before) {
  uint32_t crc = Crc32(before);
  std::array<char, kChecksumLength> digits;
  for (size_t i = kChecksumLength; i-- > 0; crc /= 62) digits[i] = kBase62[crc % 62];
  return digits;
}

// 256 random bits as 43 base62 digits of one big-endian number, so that every
// secret is exactly as likely as any other (62^43 > 2^256).
void WriteSecret(base::Random& random, uint8_t* out) {
  std::array<uint8_t, 32> bytes;
  random.Fill(absl::MakeSpan(bytes));
  for (size_t i = kSecretLength; i-- > 0;) {
    uint32_t remainder = 0;
    for (uint8_t& byte : bytes) {
      const uint32_t value = remainder << 8 | byte;
      byte = static_cast<uint8_t>(value / 62);
      remainder = value % 62;
    }
    out[i] = static_cast<uint8_t>(kBase62[remainder]);
  }
  sodium_memzero(bytes.data(), bytes.size());
}

}  // namespace

absl::string_view TokenDefectName(TokenDefect defect) {
  switch (defect) {
    case TokenDefect::kNone:
      return "none";
    case TokenDefect::kLength:
      return "wrong length";
    case TokenDefect::kPrefix:
      return "wrong prefix";
    case TokenDefect::kKind:
      return "unknown kind";
    case TokenDefect::kAlphabet:
      return "wrong alphabet";
    case TokenDefect::kChecksum:
      return "wrong checksum";
  }
  return "unknown defect";
}

TokenFormat::TokenFormat() : brand_("tg") {}

absl::StatusOr<TokenFormat> TokenFormat::ForBrand(absl::string_view brand) {
  bool good = brand.size() >= 2 && brand.size() <= 8;
  for (const char c : brand) good = good && c >= 'a' && c <= 'z';
  if (!good) return base::RefuseField("BRAND_MALFORMED", "brand", "must be 2 to 8 letters of a-z");
  return TokenFormat(std::string(brand));
}

TokenDefect TokenFormat::Parse(absl::string_view token_string, Parsed* parsed) const {
  if (token_string.size() != length()) return TokenDefect::kLength;
  const size_t kind_at = brand_.size();
  if (token_string.substr(0, kind_at) != brand_ || token_string[kind_at + 1] != '_') {
    return TokenDefect::kPrefix;
  }
  const char kind = token_string[kind_at];
  if (kind != 'w' && kind != 'o' && kind != 'a' && kind != 'r') return TokenDefect::kKind;
  const absl::string_view body = token_string.substr(kind_at + 2);
  if (!AllBase62(body)) return TokenDefect::kAlphabet;
  const size_t checksum_at = token_string.size() - kChecksumLength;
  const auto checksum = ChecksumOf(token_string.substr(0, checksum_at));
  if (token_string.substr(checksum_at) != absl::string_view(checksum.data(), checksum.size())) {
    return TokenDefect::kChecksum;
  }
  parsed->kind = static_cast<TokenKind>(kind);
  parsed->public_id = body.substr(0, kPublicIdLength);
  return TokenDefect::kNone;
}

TokenFormat::Minted TokenFormat::Mint(TokenKind kind, base::Random& random) const {
  Minted minted;
  minted.public_id.resize(kPublicIdLength);
  for (char& c : minted.public_id) c = kBase62[random.Uniform(62)];

  minted.token_string = base::SecretBytes(length());
  uint8_t* out = minted.token_string.MutableSecret().data();
  for (const char c : brand_) *out++ = static_cast<uint8_t>(c);
  *out++ = static_cast<uint8_t>(kind);
  *out++ = '_';
  for (const char c : minted.public_id) *out++ = static_cast<uint8_t>(c);
  WriteSecret(random, out);
  out += kSecretLength;
  const auto checksum =
      ChecksumOf(minted.token_string.RevealSecret().substr(0, length() - kChecksumLength));
  for (const char c : checksum) *out++ = static_cast<uint8_t>(c);
  // Otherwise a token that no edge admits would be stored, and only its owner would find out.
  Parsed parsed;
  TOLLGATE_INVARIANT(Parse(minted.token_string.RevealSecret(), &parsed) == TokenDefect::kNone &&
                         parsed.kind == kind && parsed.public_id == minted.public_id,
                     "a minted token string parses as what it was minted as");
  return minted;
}

absl::string_view FindTokenString(absl::string_view text) {
  constexpr size_t kLeast = 2 + 1;  // brand and kind
  for (size_t at = text.find('_'); at != absl::string_view::npos; at = text.find('_', at + 1)) {
    if (text.size() - at - 1 < kBodyLength) return absl::string_view();
    if (at < kLeast || !AllBase62(text.substr(at + 1, kBodyLength))) continue;
    const char kind = text[at - 1];
    if (kind != 'w' && kind != 'o' && kind != 'a' && kind != 'r') continue;
    const size_t checksum_at = at + 1 + kBodyLength - kChecksumLength;
    const absl::string_view found = text.substr(checksum_at, kChecksumLength);
    // The beginning of the brand is unknown, so the checksum decides.
    size_t begin = at - 1;
    while (begin > 0 && at - begin <= 8 && text[begin - 1] >= 'a' && text[begin - 1] <= 'z') {
      --begin;
      if (at - 1 - begin < 2) continue;
      const auto checksum = ChecksumOf(text.substr(begin, checksum_at - begin));
      if (found == absl::string_view(checksum.data(), checksum.size())) {
        return text.substr(begin, at + 1 + kBodyLength - begin);
      }
    }
  }
  return absl::string_view();
}

bool IsPublicId(absl::string_view id) { return id.size() == kPublicIdLength && AllBase62(id); }

}  // namespace tollgate::token
