// What a label may hold, and which labels are the same.
#include "text/label.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "token/token_string.h"

namespace tollgate::text {
namespace {

std::string Repeated(const std::string& s, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += s;
  return out;
}

struct LabelCase {
  std::string label;
  std::string reason;  // empty: good
};
class LabelTest : public ::testing::TestWithParam<LabelCase> {};
INSTANTIATE_TEST_SUITE_P(
    Table, LabelTest,
    ::testing::Values(
        LabelCase{"CI deploy key (GitHub Actions)", ""}, LabelCase{"x", ""},
        LabelCase{"Schlüssel für Köln", ""}, LabelCase{"鍵 🔑", ""},
        LabelCase{std::string(200, 'a'), ""}, LabelCase{Repeated("🔑", 200), ""},
        LabelCase{"", "LABEL_REQUIRED"}, LabelCase{" ", "LABEL_REQUIRED"},
        LabelCase{"\t\n", "LABEL_REQUIRED"}, LabelCase{"\u00a0\u3000", "LABEL_REQUIRED"},
        LabelCase{std::string(201, 'a'), "LABEL_TOO_LONG"},
        LabelCase{Repeated("🔑", 201), "LABEL_TOO_LONG"},
        LabelCase{std::string(1 << 20, 'a'), "LABEL_TOO_LONG"},
        LabelCase{std::string(1 << 20, '\xff'), "LABEL_TOO_LONG"},
        LabelCase{std::string(1 << 20, ' '), "LABEL_TOO_LONG"},
        // Bytes are looked at only when they are few enough to be 200 characters.
        LabelCase{std::string(4 * 200, '\xff'), "LABEL_NOT_UTF8"},
        LabelCase{std::string(4 * 200 + 1, '\xff'), "LABEL_TOO_LONG"},
        // Not UTF-8: lone continuation, lone lead, cut off, overlong (2, 3, 4
        // bytes), a surrogate, above U+10FFFF, bytes that never occur.
        LabelCase{"a\x80", "LABEL_NOT_UTF8"}, LabelCase{"a\xc3", "LABEL_NOT_UTF8"},
        LabelCase{"\xe2\x82", "LABEL_NOT_UTF8"}, LabelCase{"\xf0\x9f\x94", "LABEL_NOT_UTF8"},
        LabelCase{"\xc0\xaf", "LABEL_NOT_UTF8"}, LabelCase{"\xe0\x80\xaf", "LABEL_NOT_UTF8"},
        LabelCase{"\xf0\x80\x80\xaf", "LABEL_NOT_UTF8"},
        LabelCase{"\xed\xa0\x80", "LABEL_NOT_UTF8"},
        LabelCase{"\xf4\x90\x80\x80", "LABEL_NOT_UTF8"}, LabelCase{"\xfe", "LABEL_NOT_UTF8"},
        LabelCase{"\xf8\x88\x80\x80\x80", "LABEL_NOT_UTF8"}, LabelCase{"a\xc3(", "LABEL_NOT_UTF8"},
        LabelCase{std::string("a\0b", 3), "LABEL_CONTROL_CHARACTER"},
        LabelCase{"a\x1b[2J", "LABEL_CONTROL_CHARACTER"},
        LabelCase{"a\nb", "LABEL_CONTROL_CHARACTER"}, LabelCase{"a\tb", "LABEL_CONTROL_CHARACTER"},
        LabelCase{"a\x7f", "LABEL_CONTROL_CHARACTER"},
        LabelCase{"a\xc2\x85z", "LABEL_CONTROL_CHARACTER"},  // NEL, of C1
        LabelCase{"a\u200bb", "LABEL_CONTROL_CHARACTER"},    // zero-width space
        LabelCase{"a\u200db", "LABEL_CONTROL_CHARACTER"},    // zero-width joiner
        LabelCase{"a\u202eb", "LABEL_CONTROL_CHARACTER"},    // right-to-left override
        LabelCase{"a\u2066b", "LABEL_CONTROL_CHARACTER"},    // isolate
        LabelCase{"\ufeff"
                  "a",
                  "LABEL_CONTROL_CHARACTER"},                   // BOM
        LabelCase{"a\u00adb", "LABEL_CONTROL_CHARACTER"},       // soft hyphen
        LabelCase{"a\u3164", "LABEL_CONTROL_CHARACTER"},        // Hangul filler
        LabelCase{"a\ufe0f", "LABEL_CONTROL_CHARACTER"},        // variation selector
        LabelCase{"a\U000e0041", "LABEL_CONTROL_CHARACTER"},    // a tag
        LabelCase{"a\xef\xbf\xbf", "LABEL_CONTROL_CHARACTER"},  // U+FFFF
        LabelCase{" a", "LABEL_WHITESPACE"}, LabelCase{"a ", "LABEL_WHITESPACE"},
        LabelCase{"a  b", "LABEL_WHITESPACE"}, LabelCase{"a\u00a0b", "LABEL_WHITESPACE"},
        LabelCase{"a\u2003b", "LABEL_WHITESPACE"}, LabelCase{"a\u202fb", "LABEL_WHITESPACE"},
        LabelCase{"a\u3000b", "LABEL_WHITESPACE"}, LabelCase{"a\u1680b", "LABEL_WHITESPACE"},
        LabelCase{"a\u2028b", "LABEL_WHITESPACE"}, LabelCase{"a\u2800b", "LABEL_WHITESPACE"},
        // A combining mark wants something to stand on.
        LabelCase{"\u0301", "LABEL_LONE_MARK"}, LabelCase{"\u0301a", "LABEL_LONE_MARK"},
        LabelCase{"a \u0301b", "LABEL_LONE_MARK"}, LabelCase{"CI \u20dd", "LABEL_LONE_MARK"},
        LabelCase{"\u093f", "LABEL_LONE_MARK"}, LabelCase{"cafe\u0301", ""},
        LabelCase{"e\u0301\u0323", ""}, LabelCase{"हिन्दी", ""}, LabelCase{"Việt Nam", ""},
        LabelCase{"ไทย", ""}, LabelCase{"שָׁלוֹם", ""}, LabelCase{"\u25cc\u0301", ""}));

// What shows nothing by itself and is a part of how people write.
INSTANTIATE_TEST_SUITE_P(
    Joined, LabelTest,
    ::testing::Values(
        LabelCase{"می\u200cخواهم", ""},  // Persian, a non-joiner
        LabelCase{"PDF\u200cها", ""}, LabelCase{"۵\u200cساله", ""},
        LabelCase{"ه\u200d", ""},        // its initial form, alone
        LabelCase{"ශ්\u200dරී ලංකා", ""},  // Sinhala, a conjunct
        LabelCase{"র\u200d্যাম", ""},     // Bengali, ra and ya-phalaa
        LabelCase{"ക്\u200dഷ", ""}, LabelCase{"क्\u200dष", ""}, LabelCase{"ಕ್\u200cಷ", ""},
        LabelCase{"\U0001F469\u200d\U0001F4BB build", ""},      // a woman at a computer
        LabelCase{"\U0001F9D1\U0001F3FD\u200d\U0001F680", ""},  // an astronaut with a skin
        LabelCase{"\U0001F3F3\ufe0f\u200d\U0001F308", ""},      // the rainbow flag
        LabelCase{"\u2764\ufe0f\u200d\U0001F525", ""}, LabelCase{"\u2764\ufe0f", ""},
        LabelCase{"\u2764\ufe0e", ""}, LabelCase{"1\ufe0f\u20e3", ""},
        LabelCase{"#\ufe0f\u20e3", ""},
        LabelCase{"\U0001F1E9\U0001F1EA", ""},  // a flag of two letters
        LabelCase{"\U0001F3F4\U000E0067\U000E0062\U000E0073\U000E0063\U000E0074\U000E007F", ""},
        LabelCase{"\u845b\U000E0100\u57ce", ""},  // an ideograph's variant, in a name
        LabelCase{"\u1820\u180b", ""}));          // a Mongolian letter's variant

// The same characters where they do nothing.
INSTANTIATE_TEST_SUITE_P(
    Idle, LabelTest,
    ::testing::Values(LabelCase{"de\u200dploy", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"de\u200cploy", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"می\u200c", "LABEL_CONTROL_CHARACTER"},  // at the end
                      LabelCase{"\u200cمی", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"می\u200c\u200cخ", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"می \u200cخ", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"\u200d\U0001F4BB", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"\U0001F469\u200d", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"\U0001F469\u200dx", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"x\u200d\U0001F4BB", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"1\ufe0f", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"x\ufe0f\u20e3", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"\u2764\ufe0f\ufe0f", "LABEL_CONTROL_CHARACTER"},
                      // Tags could hold hidden words: only a flag's, and no more than it needs.
                      LabelCase{"\U0001F3F4\U000E0067\U000E0062", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"\U0001F3F4\U000E007F", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"\U0001F525\U000E0067\U000E007F", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"\U0001F3F4" + Repeated("\U000E0067", 7) + "\U000E007F",
                                "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"a\U000E0100", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"a\u180b", "LABEL_CONTROL_CHARACTER"},
                      LabelCase{"a\u034fb", "LABEL_CONTROL_CHARACTER"}));
TEST_P(LabelTest, IsAsTold) {
  const absl::Status status = CheckLabel(GetParam().label, "token.label");
  EXPECT_EQ(base::ReasonOf(status), GetParam().reason) << status;
  if (!status.ok()) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    ASSERT_EQ(base::DetailsOf(status).fields.size(), 1u);
    EXPECT_EQ(base::DetailsOf(status).fields[0].field, "token.label");
    EXPECT_LT(status.message().size(), 200u);
  }
}

TEST(LabelRules, HoldNoTokenString) {
  base::SeededRandom random(7);
  const token::TokenFormat::Minted minted =
      token::TokenFormat().Mint(token::TokenKind::kWorkspace, random);
  std::string token_string(minted.token_string.RevealSecret());
  EXPECT_EQ(base::ReasonOf(CheckLabel("CI " + token_string, "f")), "CONTAINS_TOKEN_STRING");
  token_string.back() = token_string.back() == '0' ? '1' : '0';  // the checksum does not hold
  EXPECT_TRUE(CheckLabel("CI " + token_string, "f").ok());
}

TEST(ComparedLabel, IsOneForWhatReadsTheSame) {
  const std::vector<std::vector<std::string>> alike = {
      {"caf\u00e9", "cafe\u0301"},
      {"Vi\u1ec7t", "Vie\u0302\u0323t", "Vie\u0323\u0302t", "Vi\u00ea\u0323t"},
      {"\ud55c\uae00", "\u1112\u1161\u11ab\u1100\u1173\u11af"},  // Hangul by syllables and letters
      {"\u00c5", "\u212b", "A\u030a"},                           // the letter, and the unit
      {"fi", "\ufb01"},
      {"CI 2", "\uff23\uff29 \uff12"},  // full width
      {"\u2764", "\u2764\ufe0f", "\u2764\ufe0e"},
      {"\u0645\u06cc\u062e", "\u0645\u06cc\u200c\u062e"},
  };
  for (const auto& group : alike) {
    for (const std::string& label : group) {
      EXPECT_EQ(ComparedLabel(label), ComparedLabel(group[0])) << label;
    }
  }
}

TEST(ComparedLabel, KeepsApartWhatReadsDifferently) {
  for (const auto& [a, b] : std::vector<std::pair<std::string, std::string>>{
           {"cafe", "caf\u00e9"}, {"CI", "ci"}, {"a b", "ab"}, {"a", "\u0430"}, {"o", "\u00f6"}}) {
    EXPECT_NE(ComparedLabel(a), ComparedLabel(b)) << a;
  }
  EXPECT_EQ(ComparedLabel("CI deploy key"), "CI deploy key");
  EXPECT_EQ(ComparedLabel("\xff\xfe"), "\xff\xfe") << "no UTF-8: as it is";
}

// The store finds a label's key again: the form of a form is itself, it holds no 0 byte, and it is
// bounded.
TEST(ComparedLabel, IsItsOwnForm) {
  std::mt19937 random(11);
  const auto append = [](uint32_t c, std::string* out) {
    if (c < 0x80) {
      out->push_back(static_cast<char>(c));
    } else if (c < 0x800) {
      out->push_back(static_cast<char>(0xC0 | c >> 6));
      out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
      out->push_back(static_cast<char>(0xE0 | c >> 12));
      out->push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
      out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
    } else {
      out->push_back(static_cast<char>(0xF0 | c >> 18));
      out->push_back(static_cast<char>(0x80 | (c >> 12 & 0x3F)));
      out->push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
      out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
    }
  };
  const std::vector<std::pair<uint32_t, uint32_t>> runs = {
      {0x20, 0x24F},      {0x300, 0x36F},     {0x590, 0x8FF},     {0x900, 0xDFF},
      {0x1100, 0x11FF},   {0x1E00, 0x218F},   {0x2460, 0x33FF},   {0xAC00, 0xAC40},
      {0xF900, 0xFAFF},   {0xFB00, 0xFDFF},   {0xFE70, 0xFFEF},   {0x1D100, 0x1D7FF},
      {0x1F100, 0x1F9FF}, {0x2F800, 0x2FA1D}, {0x11000, 0x111FF}, {0x200C, 0x200D}};
  for (int round = 0; round < 20'000; ++round) {
    std::string label;
    for (int i = 0; i < 8; ++i) {
      const auto& run = runs[random() % runs.size()];
      append(static_cast<uint32_t>(run.first + random() % (run.second - run.first + 1)), &label);
    }
    const std::string form = ComparedLabel(label);
    ASSERT_EQ(ComparedLabel(form), form) << label;
    ASSERT_EQ(form.find('\0'), std::string::npos) << label;
    ASSERT_LE(form.size(), 20 * label.size()) << label;
  }
}

}  // namespace
}  // namespace tollgate::text
