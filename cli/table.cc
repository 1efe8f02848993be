#include "cli/table.h"

#include <algorithm>
#include <ostream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/types/optional.h"
#include "cli/output.h"
#include "text/display_width.h"
#include "token/characters.h"

namespace tollgate::cli {
namespace {

constexpr size_t kGap = 2;
constexpr size_t kIndent = 4;  // of what is written below a row

absl::string_view Colour(Tone tone) {
  switch (tone) {
    case Tone::kPlain:
      return "";
    case Tone::kGood:
      return "\x1b[32m";
    case Tone::kWarning:
      return "\x1b[33m";
    case Tone::kBad:
      return "\x1b[31m";
    case Tone::kFaint:
      return "\x1b[2m";
  }
  return "";
}
constexpr char kBold[] = "\x1b[1m";
constexpr char kPlainAgain[] = "\x1b[0m";

}  // namespace

void Table::AddRow(std::vector<Cell> cells) {
  cells.resize(columns_.size(), Cell(""));
  for (Cell& cell : cells) cell.text = SafeForTerminal(cell.text);
  rows_.push_back(std::move(cells));
}

Table::Fit Table::FitTo(size_t columns) const {
  Fit fit{std::vector<bool>(columns_.size(), true), {}, std::vector<bool>(columns_.size())};
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = text::DisplayWidth(columns_[i].name);
    for (const auto& row : rows_) width = std::max(width, text::DisplayWidth(row[i].text));
    fit.widths.push_back(width);
  }
  if (columns == 0) return fit;
  // How much a column can be cut to.
  const auto least = [&](size_t i) {
    const size_t named = std::max(columns_[i].least, text::DisplayWidth(columns_[i].name));
    return columns_[i].least == 0 ? fit.widths[i] : std::min(fit.widths[i], named);
  };
  const auto total = [&](auto width_of) {
    size_t sum = 0;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (fit.shown[i]) sum += (sum > 0 ? kGap : 0) + width_of(i);
    }
    return sum;
  };
  if (total([&](size_t i) { return fit.widths[i]; }) > columns) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      fit.below[i] = columns_[i].below;
      if (fit.below[i]) fit.shown[i] = false;
    }
  }
  while (total(least) > columns) {
    absl::optional<size_t> last;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (!fit.shown[i] || columns_[i].rank == 0) continue;
      if (!last.has_value() || columns_[i].rank > columns_[*last].rank) last = i;
    }
    if (!last.has_value()) break;
    fit.shown[*last] = false;
  }
  // The widest gives first, so that no column is cut much while another has room to spare.
  while (total([&](size_t i) { return fit.widths[i]; }) > columns) {
    absl::optional<size_t> widest;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (!fit.shown[i] || fit.widths[i] <= least(i)) continue;
      if (!widest.has_value() || fit.widths[i] > fit.widths[*widest]) widest = i;
    }
    if (!widest.has_value()) break;
    --fit.widths[*widest];
  }
  return fit;
}

std::vector<std::string> Table::Print(std::ostream& out, const Screen& screen) const {
  if (empty()) return {};
  const Fit fit = FitTo(screen.columns);
  size_t last = 0;  // of the columns shown
  std::vector<std::string> left_out;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (fit.shown[i]) {
      last = i;
    } else if (!fit.below[i]) {
      left_out.push_back(columns_[i].name);
    }
  }
  const auto print = [&](auto text_of, auto colour_of) {
    std::string line;
    std::string padding;  // only before another text: a line has no spaces at its end
    for (size_t i = 0; i <= last; ++i) {
      if (!fit.shown[i]) continue;
      const std::string text = CutToWidth(text_of(i), fit.widths[i]);
      const absl::string_view colour = screen.colour && !text.empty() ? colour_of(i) : "";
      if (!text.empty()) {
        absl::StrAppend(&line, padding, colour, text, colour.empty() ? "" : kPlainAgain);
        padding.clear();
      }
      padding.append(fit.widths[i] - std::min(fit.widths[i], text::DisplayWidth(text)) + kGap, ' ');
    }
    out << line << '\n';
    std::vector<std::string> below;
    absl::string_view colour;  // that of the first of them
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (!fit.below[i] || text_of(i).empty()) continue;
      if (below.empty() && screen.colour) colour = colour_of(i);
      below.push_back(text_of(i));
    }
    if (below.empty()) return;
    const size_t room = screen.columns > 2 * kIndent ? screen.columns - kIndent : kIndent;
    for (const std::string& part : WrapToWidth(absl::StrJoin(below, "   "), room)) {
      out << std::string(kIndent, ' ') << colour << part << (colour.empty() ? "" : kPlainAgain)
          << '\n';
    }
  };
  print([&](size_t i) -> const std::string& { return columns_[i].name; },
        [](size_t) { return absl::string_view(kBold); });
  for (const std::vector<Cell>& row : rows_) {
    print([&](size_t i) -> const std::string& { return row[i].text; },
          [&](size_t i) { return Colour(row[i].tone); });
  }
  return left_out;
}

std::string CutToWidth(absl::string_view text, size_t columns) {
  if (text.size() <= columns || text::DisplayWidth(text) <= columns) return std::string(text);
  if (columns == 0) return "";
  size_t kept = 0;
  for (size_t i = 0; i < text.size();) {
    token::NextCodePoint(text, &i);
    // A mark, or the rest of an emoji, takes no room: it stays with what it belongs to.
    if (text::DisplayWidth(text.substr(0, i)) > columns - 1) break;
    kept = i;
  }
  return absl::StrCat(text.substr(0, kept), "…");
}

std::vector<std::string> WrapToWidth(absl::string_view text, size_t columns) {
  // Of text that takes no room (marks) a line ends all the same.
  const size_t most_bytes = 32 * std::max<size_t>(columns, 1);
  std::vector<std::string> lines;
  while (true) {
    size_t fits = 0;   // bytes of the text that have room
    size_t space = 0;  // where the last space among them is
    for (size_t i = 0; i < text.size();) {
      const size_t begin = i;
      token::NextCodePoint(text, &i);
      const bool full = i > most_bytes || text::DisplayWidth(text.substr(0, i)) > columns;
      if (full && fits > 0) break;
      if (text[begin] == ' ') space = begin;
      fits = i;
    }
    const bool last = fits == text.size();
    if (!last && text[fits] == ' ') space = fits;
    const size_t end = last || space == 0 ? fits : space;
    lines.emplace_back(absl::StripTrailingAsciiWhitespace(text.substr(0, end)));
    text = absl::StripLeadingAsciiWhitespace(text.substr(end));
    if (text.empty()) return lines;
  }
}

std::string CsvRecord(const std::vector<std::string>& fields) {
  std::string record;
  for (const std::string& field : fields) {
    if (!record.empty() || &field != &fields.front()) record.push_back(',');
    bool formula = !field.empty() && absl::StrContains("=+-@\t\r\n", field[0]);
    for (const char* wide : {"\uFF1D", "\uFF0B", "\uFF0D", "\uFF20"}) {
      formula = formula || absl::StartsWith(field, wide);
    }
    const std::string safe = absl::StrCat(formula ? "'" : "", field);
    if (safe.find_first_of(",\"\r\n\t ;'") == std::string::npos) {
      record += safe;
    } else {
      absl::StrAppend(&record, "\"", absl::StrReplaceAll(safe, {{"\"", "\"\""}}), "\"");
    }
  }
  return record + "\r\n";
}

}  // namespace tollgate::cli
