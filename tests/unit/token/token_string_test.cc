#include "token/token_string.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/invariant.h"
#include "base/status.h"
#include "tests/unit/token/allocations.h"
#include "token/digest.h"

namespace tollgate::token {
namespace {

struct Vector {
  const char* brand;
  char kind;
  const char* public_id;
  const char* secret_hex;
  const char* token_string;
  uint32_t crc;
  const char* edge_digest_hex;
  const char* stored_digest_hex;
};
constexpr Vector kVectors[] = {
#include "tests/unit/token/vectors.inc"
};

// Gives words that make Mint draw a wanted id, then a wanted secret.
class ScriptedRandom : public base::Random {
 public:
  ScriptedRandom(absl::string_view id, std::string secret) : secret_(std::move(secret)) {
    static constexpr absl::string_view kDigits =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (const char c : id) digits_ += static_cast<char>(kDigits.find(c));
  }
  void Fill(absl::Span<uint8_t> out) override {
    if (out.size() == 8) {
      std::fill(out.begin(), out.end(), 0);
      // 62 more than the digit: a word below 16 would be drawn again.
      out[0] = static_cast<uint8_t>(digits_.at(at_++) + 62);
    } else {
      ASSERT_EQ(out.size(), secret_.size());
      std::copy(secret_.begin(), secret_.end(), out.begin());
    }
  }

 private:
  std::string digits_;
  std::string secret_;
  size_t at_ = 0;
};

class TokenVectorTest : public ::testing::TestWithParam<Vector> {};
INSTANTIATE_TEST_SUITE_P(Golden, TokenVectorTest, ::testing::ValuesIn(kVectors));

TEST_P(TokenVectorTest, MintsIt) {
  const Vector& v = GetParam();
  const TokenFormat format = TokenFormat::ForBrand(v.brand).value();
  ScriptedRandom random(v.public_id, absl::HexStringToBytes(v.secret_hex));
  const auto minted = format.Mint(static_cast<TokenKind>(v.kind), random);
  EXPECT_EQ(minted.public_id, v.public_id);
  EXPECT_EQ(minted.token_string.RevealSecret(), v.token_string);
}

TEST_P(TokenVectorTest, ParsesIt) {
  const Vector& v = GetParam();
  const TokenFormat format = TokenFormat::ForBrand(v.brand).value();
  TokenFormat::Parsed parsed;
  ASSERT_EQ(format.Parse(v.token_string, &parsed), TokenDefect::kNone);
  EXPECT_EQ(static_cast<char>(parsed.kind), v.kind);
  EXPECT_EQ(parsed.public_id, v.public_id);
}

TEST_P(TokenVectorTest, DigestsIt) {
  const Vector& v = GetParam();
  const EdgeDigest edge = EdgeDigest::Of(v.token_string);
  EXPECT_EQ(absl::BytesToHexString(edge.bytes()), v.edge_digest_hex);
  std::string pepper;
  for (int i = 0; i < 32; ++i) pepper += static_cast<char>(i);
  EXPECT_EQ(absl::BytesToHexString(StoredDigest::Of(edge, pepper).bytes()), v.stored_digest_hex);
}

// One flipped bit or changed character anywhere is seen: CRC-32 finds every burst of up to 32 bits.
TEST_P(TokenVectorTest, EveryChangedCharacterIsSeen) {
  const Vector& v = GetParam();
  const TokenFormat format = TokenFormat::ForBrand(v.brand).value();
  const std::string good = v.token_string;
  TokenFormat::Parsed parsed;
  for (size_t i = 0; i < good.size(); ++i) {
    for (int c = 0; c < 256; ++c) {
      std::string bad = good;
      bad[i] = static_cast<char>(c);
      if (bad == good) continue;
      ASSERT_NE(format.Parse(bad, &parsed), TokenDefect::kNone) << i << " " << c;
    }
    if (i > 0 && good[i] != good[i - 1]) {
      std::string bad = good;
      std::swap(bad[i], bad[i - 1]);
      ASSERT_NE(format.Parse(bad, &parsed), TokenDefect::kNone) << "swapped at " << i;
    }
  }
}

constexpr char kGood[] = "tgw_4mXp81QzR0aYc7Ld003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf0DoSKZ";

struct Malformed {
  std::string what;
  std::string token_string;
  TokenDefect defect;
};
std::string Changed(size_t at, char c) {
  std::string s = kGood;
  s[at] = c;
  return s;
}
class MalformedTest : public ::testing::TestWithParam<Malformed> {};
INSTANTIATE_TEST_SUITE_P(
    EveryKind, MalformedTest,
    ::testing::Values(
        Malformed{"empty", "", TokenDefect::kLength},
        Malformed{"prefix_only", "tgw_", TokenDefect::kLength},
        Malformed{"one_short", std::string(kGood).substr(0, 68), TokenDefect::kLength},
        Malformed{"one_long", std::string(kGood) + "0", TokenDefect::kLength},
        Malformed{"trailing_newline", std::string(kGood) + "\n", TokenDefect::kLength},
        Malformed{"leading_space", std::string(" ") + kGood, TokenDefect::kLength},
        Malformed{"with_scheme", std::string("Bearer ") + kGood, TokenDefect::kLength},
        Malformed{"twice", std::string(kGood) + kGood, TokenDefect::kLength},
        Malformed{"mebibyte", std::string(1 << 20, '0'), TokenDefect::kLength},
        Malformed{"other_brand", Changed(0, 'x'), TokenDefect::kPrefix},
        Malformed{"upper_brand", Changed(0, 'T'), TokenDefect::kPrefix},
        Malformed{"no_underscore", Changed(3, '-'), TokenDefect::kPrefix},
        Malformed{"unknown_kind", Changed(2, 'x'), TokenDefect::kKind},
        Malformed{"upper_kind", Changed(2, 'W'), TokenDefect::kKind},
        Malformed{"nul_kind", Changed(2, '\0'), TokenDefect::kKind},
        Malformed{"dash_in_id", Changed(4, '-'), TokenDefect::kAlphabet},
        Malformed{"space_in_secret", Changed(30, ' '), TokenDefect::kAlphabet},
        Malformed{"nul_in_secret", Changed(30, '\0'), TokenDefect::kAlphabet},
        Malformed{"high_bit", Changed(30, '\xe9'), TokenDefect::kAlphabet},
        Malformed{"underscore_in_checksum", Changed(68, '_'), TokenDefect::kAlphabet},
        Malformed{"between_digits_and_letters", Changed(30, ':'), TokenDefect::kAlphabet},
        Malformed{"between_upper_and_lower", Changed(30, '['), TokenDefect::kAlphabet},
        Malformed{"at_sign", Changed(30, '@'), TokenDefect::kAlphabet},
        Malformed{"brace", Changed(30, '{'), TokenDefect::kAlphabet},
        Malformed{"wrong_id", Changed(4, '5'), TokenDefect::kChecksum},
        Malformed{"wrong_secret", Changed(40, 'z'), TokenDefect::kChecksum},
        Malformed{"wrong_checksum", Changed(68, 'a'), TokenDefect::kChecksum},
        Malformed{"kind_swapped", Changed(2, 'o'), TokenDefect::kChecksum},
        Malformed{"checksum_above_32_bits", std::string(kGood).substr(0, 63) + "zzzzzz",
                  TokenDefect::kChecksum}),
    [](const auto& info) { return info.param.what; });
TEST_P(MalformedTest, IsRefusedForItsDefect) {
  TokenFormat::Parsed parsed;
  EXPECT_EQ(TokenDefectName(TokenFormat().Parse(GetParam().token_string, &parsed)),
            TokenDefectName(GetParam().defect));
}

TEST(TokenFormatTest, ParseAllocatesNothing) {
  const TokenFormat format;
  const std::string good = kGood, bad = Changed(68, 'a');
  TokenFormat::Parsed parsed;
  const int before = AllocationsOfThisThread();
  const TokenDefect first = format.Parse(good, &parsed);
  const TokenDefect second = format.Parse(bad, &parsed);
  EXPECT_EQ(AllocationsOfThisThread(), before);
  EXPECT_EQ(first, TokenDefect::kNone);
  EXPECT_EQ(second, TokenDefect::kChecksum);
}

TEST(TokenFormatTest, FreshTokensAreGoodAndDiffer) {
  const TokenFormat format;
  std::set<std::string> ids;
  for (int i = 0; i < 500; ++i) {
    const auto minted = format.Mint(TokenKind::kOperator, base::SystemRandom());
    TokenFormat::Parsed parsed;
    ASSERT_EQ(minted.token_string.size(), format.length());
    ASSERT_EQ(format.Parse(minted.token_string.RevealSecret(), &parsed), TokenDefect::kNone);
    EXPECT_EQ(parsed.kind, TokenKind::kOperator);
    EXPECT_EQ(parsed.public_id, minted.public_id);
    EXPECT_TRUE(IsPublicId(minted.public_id));
    EXPECT_TRUE(ids.insert(minted.public_id).second);
  }
}

TEST(TokenFormatTest, Brands) {
  for (const char* good : {"tg", "acme", "abcdefgh"}) {
    EXPECT_TRUE(TokenFormat::ForBrand(good).ok()) << good;
  }
  for (const char* bad : {"", "t", "abcdefghi", "Tg", "t1", "t_", "t g", "t\xc3\xa9"}) {
    const auto format = TokenFormat::ForBrand(bad);
    EXPECT_EQ(format.status().code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_EQ(base::ReasonOf(format.status()), "BRAND_MALFORMED");
  }
}

TEST(DigestTest, FromBytesTakesItsOwnSizeOnly) {
  const EdgeDigest edge = EdgeDigest::Of("x");
  EXPECT_EQ(EdgeDigest::FromBytes(edge.bytes()), edge);
  for (const size_t size : {0, 1, 31, 33, 64}) {
    EXPECT_FALSE(EdgeDigest::FromBytes(std::string(size, 'a')).has_value());
    EXPECT_FALSE(StoredDigest::FromBytes(std::string(size, 'a')).has_value());
  }
  EXPECT_TRUE(StoredDigest::FromBytes(std::string(32, 'a')).has_value());
}

TEST(DigestDeathTest, AShortPepperEndsTheProcess) {
  EXPECT_EXIT(StoredDigest::Of(EdgeDigest::Of("x"), "short"),
              testing::ExitedWithCode(base::kExitInvariantBroken), "a pepper is 32 bytes long");
}

}  // namespace
}  // namespace tollgate::token
