// Tables for people, fitted to their terminal, and the same rows as CSV for spreadsheets.
#ifndef TOLLGATE_CLI_TABLE_H_
#define TOLLGATE_CLI_TABLE_H_

#include <concepts>
#include <cstddef>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace tollgate::cli {

// Where a table is shown.
struct Screen {
  size_t columns = 0;  // 0: as wide as it likes
  bool colour = false;
};

// How much a cell should strike the eye.
enum class Tone { kPlain, kGood, kWarning, kBad, kFaint };

struct Cell {
  Cell(std::string text, Tone tone = Tone::kPlain)  // NOLINT: most cells are only text
      : text(std::move(text)), tone(tone) {}
  Cell(const char* text) : text(text) {}  // NOLINT

  std::string text;
  Tone tone = Tone::kPlain;
};

struct Column {
  Column(std::string name, size_t least = 0, int rank = 0)  // NOLINT: most are only a name
      : name(std::move(name)), least(least), rank(rank) {}
  Column(const char* name) : name(name) {}  // NOLINT
  // Of sentences, which are never cut: where the table has no room for them, all columns of this
  // kind are written on lines of their own below the row.
  static Column Below(std::string name) {
    Column column(std::move(name));
    column.below = true;
    return column;
  }

  std::string name;
  size_t least = 0;  // may be cut to so many columns of the terminal; 0: is never cut
  int rank = 0;      // the highest is left out first where there is no room; 0: stays
  bool below = false;
};

// A table in columns, padded by what the eye sees (text/display_width.h). Not libsmartcols: that
// goes by the locale's wcwidth, by which an emoji of several is as wide as its parts, and in the C
// locale (cron, containers) it writes "caf\xc3\xa9".
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // Of plain names, made elsewhere. (Templates, because a list in braces must not be ambiguous.)
  template <std::same_as<std::vector<std::string>> Names>
  explicit Table(const Names& names) : columns_(names.begin(), names.end()) {}
  // `cells` has as many cells as there are columns; more is a bug of the caller. What is missing is
  // empty. Their text is made safe for a terminal.
  void AddRow(std::vector<Cell> cells);
  template <std::same_as<std::vector<std::string>> Texts>
  void AddRow(const Texts& texts) {
    AddRow(std::vector<Cell>(texts.begin(), texts.end()));
  }
  bool empty() const { return rows_.empty(); }
  // Prints nothing for an empty table: the caller says in words that there is nothing. Where
  // `screen` has not enough columns, writes sentences below their row, cuts cells ("CI deploy k…")
  // and, where that does not help, leaves columns out, whose names it returns. What it writes holds
  // no escape sequence but those of colours, and those only where `screen` shows them.
  std::vector<std::string> Print(std::ostream& out, const Screen& screen = Screen()) const;

 private:
  struct Fit {
    std::vector<bool> shown;
    std::vector<size_t> widths;
    std::vector<bool> below;  // then not shown in the row
  };
  Fit FitTo(size_t columns) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// `text`, or as much of its beginning as leaves room for an ellipsis in so many columns.
std::string CutToWidth(absl::string_view text, size_t columns);

// The lines of `text` in so many columns, at least one: broken at spaces, and within a word that is
// longer than a line.
std::vector<std::string> WrapToWidth(absl::string_view text, size_t columns);

// A record of RFC 4180 with its line end (CR LF). A field that a spreadsheet would take for a
// formula is given a ' before it: one that begins with = + - @, a tab or a line end, also in full
// width.
std::string CsvRecord(const std::vector<std::string>& fields);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_TABLE_H_
