#include "cli/live_lines.h"

#include <algorithm>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/table.h"

namespace tollgate::cli {

std::ostream& LiveLines::raw() {
  if (stream_ == Stream::kOut) return context_.raw_out();
  context_.err().flush();
  return *context_.terminal().err;
}

void LiveLines::Show(absl::string_view text) {
  if (!in_place()) {
    if (stream_ == Stream::kErr) return;
    context_.out() << text << std::flush;
    return;
  }
  Clear();
  if (text.empty()) return;
  // A line that the terminal broke in two would not be found again.
  const size_t wide =
      stream_ == Stream::kOut ? context_.screen().columns : context_.terminal().err_columns;
  const size_t columns = wide > 1 ? wide - 1 : 79;
  std::ostream& out = raw();
  for (absl::string_view line : absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
    out << CutToWidth(SafeForTerminal(line), columns) << '\n';
    ++shown_;
  }
  out << std::flush;
}

void LiveLines::Clear() {
  if (shown_ == 0) return;
  // Up to the first of them, and everything from there on.
  raw() << absl::StrCat("\x1b[", shown_, "A\r\x1b[J") << std::flush;
  shown_ = 0;
}

}  // namespace tollgate::cli
