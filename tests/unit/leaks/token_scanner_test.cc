#include "leaks/token_scanner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/status.h"

namespace tollgate::leaks {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string Mint(const std::string& brand = "tg",
                 token::TokenKind kind = token::TokenKind::kWorkspace) {
  base::InitSecrets();
  const auto minted = token::TokenFormat::ForBrand(brand)->Mint(kind, base::SystemRandom());
  return std::string(minted.token_string.RevealSecret());
}

std::string IdIn(const std::string& token) { return token.substr(token.find('_') + 1, 16); }

// Feeds `text` in pieces of `size` bytes.
std::vector<FoundToken> Scan(const std::string& text, size_t size = std::string::npos,
                             const std::vector<std::string>& brands = {"tg"}) {
  auto scanner = TokenScanner::ForBrands(brands);
  EXPECT_TRUE(scanner.ok()) << scanner.status();
  std::vector<FoundToken> all;
  for (size_t at = 0; at < text.size(); at += std::min(size, text.size() - at)) {
    scanner->Feed(absl::string_view(text).substr(at, size),
                  [&](const FoundToken& found) { all.push_back(found); });
  }
  return all;
}

// "offset:line:column id"
std::vector<std::string> Places(const std::vector<FoundToken>& all) {
  std::vector<std::string> places;
  for (const FoundToken& found : all) {
    places.push_back(
        absl::StrCat(found.offset, ":", found.line, ":", found.column, " ", found.public_id));
  }
  return places;
}

TEST(TokenScanner, TellsWhereAndWhich) {
  const std::string token = Mint();
  const std::string text = absl::StrCat("a: 1\nkey: ", token, "\n");
  const std::vector<FoundToken> all = Scan(text);
  ASSERT_THAT(Places(all), ElementsAre(absl::StrCat("10:2:6 ", IdIn(token))));
  EXPECT_EQ(all[0].kind, token::TokenKind::kWorkspace);
  EXPECT_EQ(all[0].brand, "tg");
  EXPECT_EQ(all[0].digest, token::EdgeDigest::Of(token));
}

TEST(TokenScanner, EveryKindIsFound) {
  for (const auto kind : {token::TokenKind::kWorkspace, token::TokenKind::kOperator,
                          token::TokenKind::kAccess, token::TokenKind::kRefresh}) {
    const std::vector<FoundToken> all = Scan(Mint("tg", kind));
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].kind, kind);
  }
}

// Each character that is another one makes another checksum.
TEST(TokenScanner, AWrongChecksumIsNoFinding) {
  const std::string token = Mint();
  for (size_t i = 0; i < token.size(); ++i) {
    std::string wrong = token;
    wrong[i] = wrong[i] == '7' ? '8' : '7';
    EXPECT_THAT(Scan(wrong), IsEmpty()) << i;
  }
  EXPECT_THAT(Scan(token.substr(0, token.size() - 1)), IsEmpty());
  EXPECT_THAT(Scan(token.substr(1)), IsEmpty());
  EXPECT_THAT(Scan(""), IsEmpty());
}

// A regular expression with word boundaries would pass over them.
TEST(TokenScanner, WhatStandsAroundItDoesNotHideIt) {
  const std::string token = Mint();
  for (const std::string before : {"", "x", "_", "tgw_", "\xff", "tg", "TOKEN_", "0"}) {
    for (const std::string after : {"", "x", "_", "0", "\xff", "tgw_"}) {
      EXPECT_EQ(Scan(before + token + after).size(), 1u) << before << "|" << after;
    }
  }
  EXPECT_EQ(Scan(token + token).size(), 2u);
}

TEST(TokenScanner, BinaryDataHidesNothing) {
  const std::string token = Mint();
  std::string text(1000, '\0');
  text += token + std::string(1, '\0') + "\n\n" + token;
  const std::string id = IdIn(token);
  EXPECT_THAT(Places(Scan(text)),
              ElementsAre(absl::StrCat("1000:1:1001 ", id), absl::StrCat("1072:3:1 ", id)));
}

// Whatever the pieces are, what is found is the same, with the same places, and once.
TEST(TokenScanner, APieceCanEndAnywhere) {
  const std::string long_brand = "tollgate";
  const std::string first = Mint();
  const std::string second = Mint(long_brand);
  const std::string third = Mint();
  const std::string text =
      absl::StrCat("one\ntwo ", first, "\n", second, third, "\n\nend_\n", first);
  const std::vector<std::string> brands = {"tg", long_brand};
  const std::vector<std::string> whole = Places(Scan(text, std::string::npos, brands));
  ASSERT_EQ(whole.size(), 4u);
  for (size_t size = 1; size <= text.size(); ++size) {
    EXPECT_EQ(Places(Scan(text, size, brands)), whole) << "in pieces of " << size;
  }
  // Two pieces, cut at each place.
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    auto scanner = TokenScanner::ForBrands(brands);
    std::vector<FoundToken> all;
    const auto keep = [&](const FoundToken& found) { all.push_back(found); };
    scanner->Feed(absl::string_view(text).substr(0, cut), keep);
    scanner->Feed(absl::string_view(text).substr(cut), keep);
    EXPECT_EQ(Places(all), whole) << "cut at " << cut;
  }
}

// Against another way to find them, in texts made of what they are made of.
TEST(TokenScanner, FindsWhatASearchByEachPlaceFinds) {
  std::mt19937 random(7);
  const std::vector<std::string> brands = {"tg", "xtg", "ab"};
  std::vector<token::TokenFormat> formats;
  for (const std::string& brand : brands) formats.push_back(*token::TokenFormat::ForBrand(brand));
  for (int round = 0; round < 60; ++round) {
    std::string text;
    while (text.size() < 700) {
      switch (random() % 7) {
        case 0:
          text += Mint(brands[random() % brands.size()]);
          break;
        case 1: {
          const std::string token = Mint();
          text += token.substr(random() % token.size(), random() % token.size());
          break;
        }
        case 2:
          text += "tgw_";
          break;
        case 3:
          text += '\n';
          break;
        default:
          text += static_cast<char>("_wx\0tg\n"[random() % 7]);
      }
    }
    std::vector<std::string> expected;
    uint64_t line = 1, begin = 0;
    for (size_t at = 0; at < text.size(); ++at) {
      for (const token::TokenFormat& format : formats) {
        token::TokenFormat::Parsed parsed;
        const absl::string_view one = absl::string_view(text).substr(at, format.length());
        if (format.Parse(one, &parsed) != token::TokenDefect::kNone) continue;
        expected.push_back(
            absl::StrCat(at, ":", line, ":", at - begin + 1, " ", std::string(parsed.public_id)));
      }
      if (text[at] == '\n') {
        ++line;
        begin = at + 1;
      }
    }
    for (const size_t size :
         {size_t{1}, size_t{13}, size_t{70}, size_t{75}, size_t{256}, text.size()}) {
      ASSERT_EQ(Places(Scan(text, size, brands)), expected) << "in pieces of " << size;
    }
  }
}

TEST(TokenScanner, OnlyTheBrandsThatWereAskedFor) {
  const std::string ours = Mint("tg");
  const std::string theirs = Mint("acme");
  const std::string text = ours + " " + theirs;
  EXPECT_EQ(Scan(text).size(), 1u);
  EXPECT_EQ(Scan(text, 10, {"acme"}).size(), 1u);
  const std::vector<FoundToken> both = Scan(text, 10, {"acme", "tg", "tg"});
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0].brand, "tg");
  EXPECT_EQ(both[1].brand, "acme");
}

TEST(TokenScanner, RefusesBrandsThatAreNone) {
  EXPECT_EQ(base::ReasonOf(TokenScanner::ForBrands({}).status()), "BRANDS_COUNT");
  EXPECT_EQ(base::ReasonOf(TokenScanner::ForBrands(std::vector<std::string>(17, "tg")).status()),
            "BRANDS_COUNT");
  for (const std::string brand : {"", "t", "TG", "tollgates", "t_"}) {
    EXPECT_EQ(base::ReasonOf(TokenScanner::ForBrands({brand}).status()), "BRAND_MALFORMED")
        << brand;
  }
}

TEST(TokenScanner, StartingOverForgetsTheInputBefore) {
  const std::string token = Mint();
  auto scanner = TokenScanner::ForBrands({"tg"});
  std::vector<FoundToken> all;
  const auto keep = [&](const FoundToken& found) { all.push_back(found); };
  scanner->Feed("\n\n\n" + token.substr(0, 30), keep);
  scanner->StartOver();
  scanner->Feed(token.substr(30), keep);
  EXPECT_THAT(all, IsEmpty());
  scanner->StartOver();
  scanner->Feed(token, keep);
  EXPECT_THAT(Places(all), ElementsAre(absl::StrCat("0:1:1 ", IdIn(token))));
}

// The last bytes may be a secret's.
TEST(TokenScanner, KeepsNothingOfAnInputThatIsOver) {
  const std::string token = Mint();
  const std::string secret = token.substr(25, 16);
  auto scanner = TokenScanner::ForBrands({"tg"});
  const auto holds_secret = [&] {
    const auto* bytes = reinterpret_cast<const char*>(&*scanner);
    return absl::string_view(bytes, sizeof(*scanner)).find(secret) != absl::string_view::npos;
  };
  scanner->Feed(token, [](const FoundToken&) {});
  EXPECT_TRUE(holds_secret()) << "it is kept while a token string may go on";
  scanner->StartOver();
  EXPECT_FALSE(holds_secret());
}

TEST(TokenScanner, LinesAreCountedFarIntoAnInput) {
  const std::string token = Mint();
  std::string text;
  for (int i = 0; i < 5000; ++i)
    absl::StrAppend(&text, "line ", i, " some_words_with_underscores\n");
  const size_t offset = text.size() + 3;
  text += "k: " + token;
  for (const size_t size : {size_t{4096}, size_t{127}, text.size()}) {
    EXPECT_THAT(Places(Scan(text, size)),
                ElementsAre(absl::StrFormat("%d:5001:4 %s", offset, IdIn(token))));
  }
}

}  // namespace
}  // namespace tollgate::leaks
