#include "cli/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "absl/strings/str_split.h"
#include "text/display_width.h"

namespace tollgate::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(Table, PadsByWhatTheEyeSees) {
  Table table({"TOKEN", "LABEL", "STATE"});
  table.AddRow({"a", "größe", "active"});
  table.AddRow({"bbbbbb", "日本", "retiring"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(),
            "TOKEN   LABEL  STATE\n"
            "a       größe  active\n"
            "bbbbbb  日本   retiring\n");
}

TEST(Table, ALabelOfAnyScriptKeepsTheColumns) {
  Table table({"LABEL", "STATE"});
  table.AddRow({"cafe\u0301", "active"});
  table.AddRow({"\u0dc1\u0dca\u200d\u0dbb\u0dd3", "active"});
  table.AddRow({"\U0001F469\u200d\U0001F4BB \ud55c", "active"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(),
            "LABEL  STATE\n"
            "cafe\u0301   active\n"
            "\u0dc1\u0dca\u200d\u0dbb\u0dd3     active\n"
            "\U0001F469\u200d\U0001F4BB \ud55c  active\n");
}

TEST(Table, PrintsNothingWhenThereIsNothing) {
  std::ostringstream out;
  Table({"TOKEN"}).Print(out);
  EXPECT_EQ(out.str(), "");
}

// A table with a column of each kind.
Table Mixed() {
  Table table({{"TOKEN"}, {"LABEL", 8}, {"OWNER", 6, 1}, {"CREATED", 0, 2}});
  table.AddRow({"4mXp81QzR0aYc7Ld",
                "CI deploy key (GitHub Actions)",
                "team-payments",
                {"3 days ago", Tone::kWarning}});
  table.AddRow({"9sVb02KqT5eWx1Nf",
                "\U0001F469\u200d\U0001F4BB\U0001F469\u200d\U0001F4BB 日本日本日本", "", "now"});
  return table;
}

TEST(Table, WritesSentencesBelowTheirRowWhereThereIsNoRoom) {
  Table table({{"WHEN"}, {"WHO", 6}, Column::Below("REASON"), Column::Below("CHANGES")});
  table.AddRow({"just now", "local", "exposed in a public gist", "label \"a\""});
  table.AddRow({"2 h ago", "spiffe://example.org/ops", "", "日本語のトークン 日本語のトークン"});
  table.AddRow({"2 h ago", "ops"});
  std::ostringstream wide;
  table.Print(wide, {120, false});
  EXPECT_THAT(wide.str(), HasSubstr("exposed in a public gist  label"));
  std::ostringstream out;
  EXPECT_THAT(table.Print(out, {24, true}), IsEmpty());
  EXPECT_EQ(out.str(),
            "\x1b[1mWHEN\x1b[0m      \x1b[1mWHO\x1b[0m\n"
            "    \x1b[1mREASON   CHANGES\x1b[0m\n"
            "just now  local\n"
            "    exposed in a public\n"
            "    gist   label \"a\"\n"
            "2 h ago   spiffe://exam…\n"
            "    日本語のトークン\n"
            "    日本語のトークン\n"
            "2 h ago   ops\n");
}

TEST(WrapToWidth, BreaksAtSpacesAndWithinLongWords) {
  EXPECT_THAT(WrapToWidth("", 4), ElementsAre(""));
  EXPECT_THAT(WrapToWidth("ab cd", 5), ElementsAre("ab cd"));
  EXPECT_THAT(WrapToWidth("ab cd", 4), ElementsAre("ab", "cd"));
  EXPECT_THAT(WrapToWidth("ab cd", 2), ElementsAre("ab", "cd"));
  EXPECT_THAT(WrapToWidth("abcdef gh", 4), ElementsAre("abcd", "ef", "gh"));
  EXPECT_THAT(WrapToWidth("日本語", 1), ElementsAre("日", "本", "語"))
      << "one has to stand somewhere";
  EXPECT_THAT(WrapToWidth("cafe\u0301 a", 4), ElementsAre("cafe\u0301", "a"));
  EXPECT_THAT(WrapToWidth(std::string(10, ' '), 4), ElementsAre(""));
  std::string marks = "e";
  for (int i = 0; i < 2000; ++i) marks += "\u0301";
  EXPECT_GT(WrapToWidth(marks, 10).size(), 10u) << "else one line of them is looked at for ever";
}

TEST(Table, FitsTheTerminalAndSaysWhatItLeftOut) {
  for (size_t columns = 26; columns < 100; ++columns) {
    std::ostringstream out;
    const std::vector<std::string> left_out = Mixed().Print(out, {columns, false});
    for (absl::string_view line : absl::StrSplit(out.str(), '\n')) {
      EXPECT_LE(text::DisplayWidth(line), columns) << line;
    }
    EXPECT_EQ(left_out.empty(), out.str().find("CREATED") != std::string::npos) << out.str();
    EXPECT_THAT(out.str(), HasSubstr("4mXp81QzR0aYc7Ld")) << "never cut";
    EXPECT_THAT(out.str(), HasSubstr("LABEL")) << "never left out";
  }
  std::ostringstream out;
  EXPECT_THAT(Mixed().Print(out, {30, false}), ElementsAre("OWNER", "CREATED"));
  EXPECT_THAT(out.str(), HasSubstr("4mXp81QzR0aYc7Ld  CI deploy k…\n"));
  // Wide enough, or not a terminal: all of it.
  for (const size_t columns : {size_t{0}, size_t{100}}) {
    out.str("");
    EXPECT_THAT(Mixed().Print(out, {columns, false}), IsEmpty());
    EXPECT_THAT(out.str(),
                HasSubstr("CI deploy key (GitHub Actions)  team-payments  3 days ago\n"));
  }
}

TEST(Table, ColoursTakeNoRoom) {
  std::ostringstream plain, coloured;
  Mixed().Print(plain, {60, false});
  Mixed().Print(coloured, {60, true});
  EXPECT_THAT(plain.str(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(coloured.str(), HasSubstr("\x1b[33m3 days ago\x1b[0m\n"));
  std::string stripped = coloured.str();
  for (size_t at; (at = stripped.find('\x1b')) != std::string::npos;) {
    stripped.erase(at, stripped.find('m', at) - at + 1);
  }
  EXPECT_EQ(stripped, plain.str());
}

TEST(Table, ACellDrivesNoTerminal) {
  Table table({"LABEL"});
  table.AddRow({"a\x1b[31mred"});
  std::ostringstream out;
  table.Print(out, {20, true});
  EXPECT_THAT(out.str(), HasSubstr("a?[31mred"));
}

TEST(CutToWidth, KeepsWhatBelongsTogether) {
  EXPECT_EQ(CutToWidth("abcdef", 6), "abcdef");
  EXPECT_EQ(CutToWidth("abcdef", 5), "abcd…");
  EXPECT_EQ(CutToWidth("cafe\u0301s", 5), "cafe\u0301s");
  EXPECT_EQ(CutToWidth("cafe\u0301se", 5), "cafe\u0301…");
  EXPECT_EQ(CutToWidth("日本語", 4), "日…");
  EXPECT_EQ(CutToWidth("日本語", 5), "日本…");
  EXPECT_EQ(CutToWidth("abc", 0), "");
}

TEST(CsvRecord, IsQuotedWhereItMustBeAndNoFormula) {
  EXPECT_EQ(CsvRecord({"a", "", "b"}), "a,,b\r\n");
  EXPECT_EQ(CsvRecord({""}), "\r\n");
  EXPECT_EQ(CsvRecord({"", "x"}), ",x\r\n");
  EXPECT_EQ(CsvRecord({"a,b", "say \"hi\"", "two\nlines"}),
            "\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"\r\n");
  EXPECT_EQ(CsvRecord({"=1+1", "+x", "-x", "@SUM(A1)", "\tx", "\rx", "x=1"}),
            "\"'=1+1\",\"'+x\",\"'-x\",\"'@SUM(A1)\",\"'\tx\",\"'\rx\",x=1\r\n");
  EXPECT_EQ(CsvRecord({"\uFF1D1+1"}), "\"'\uFF1D1+1\"\r\n");
}

}  // namespace
}  // namespace tollgate::cli
