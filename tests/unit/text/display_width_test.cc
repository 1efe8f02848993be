// How much room text takes on a terminal.
#include "text/display_width.h"

#include <gtest/gtest.h>

namespace tollgate::text {
namespace {

TEST(DisplayWidth, CountsWhatATerminalShows) {
  struct {
    const char* text;
    size_t width;
  } const table[] = {
      {"", 0},
      {"CI deploy key", 13},
      {"gr\u00f6\u00dfe", 5},
      {"cafe\u0301", 4},                            // a mark on its letter
      {"\u65e5\u672c", 4},                          // ideographs
      {"\uff23\uff29", 4},                          // full width
      {"\uff76\uff9e", 2},                          // half width
      {"\ud55c\uae00", 4},                          // Hangul
      {"\u1112\u1161\u11ab\u1100\u1173\u11af", 4},  // the same by letters
      {"\u0645\u06cc\u200c\u062e\u0648", 4},        // Persian, a non-joiner
      {"\u0dc1\u0dca\u200d\u0dbb\u0dd3", 2},        // Sinhala, a conjunct
      {"\u0e44\u0e17\u0e22", 3},                    // Thai
      {"\u05e9\u05c1\u05b8", 1},                    // Hebrew with points
      {"\U0001F680", 2},                            // an emoji
      {"\U0001F44D\U0001F3FD", 2},                  // with a skin
      {"\U0001F469\u200d\U0001F4BB", 2},            // of two
      {"\U0001F468\u200d\U0001F469\u200d\U0001F467", 2},
      {"\u2764", 1},        // a sign
      {"\u2764\ufe0f", 2},  // and the emoji of it
      {"\u2764\ufe0f\u200d\U0001F525", 2},
      {"1\ufe0f\u20e3", 2},         // a keycap
      {"\U0001F1E9\U0001F1EA", 2},  // a flag
      {"\U0001F1E9\U0001F1EA\U0001F1EB\U0001F1F7", 4},
      {"\U0001F3F4\U000E0067\U000E0062\U000E007F", 2},
      {"\u845b\U000E0100\u57ce", 4},  // an ideograph's variant
      {"a\xff\xfe z", 5},             // bytes that are no UTF-8
  };
  for (const auto& row : table) EXPECT_EQ(DisplayWidth(row.text), row.width) << row.text;
}

}  // namespace
}  // namespace tollgate::text
