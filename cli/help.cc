#include "cli/help.h"

#include <algorithm>

#include "CLI/App.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/examples.h"
#include "text/display_width.h"

namespace tollgate::cli {
namespace {

constexpr size_t kColumns = 80;
constexpr size_t kRight = 30;  // where descriptions begin

std::string Paragraph(absl::string_view text) {
  return absl::StrJoin(WrappedLines(text, kColumns), "\n");
}

// A name and what it is about, side by side.
std::string Entry(absl::string_view name, absl::string_view about) {
  std::string text = absl::StrCat("  ", name);
  size_t at = text::DisplayWidth(text);
  for (const std::string& line : WrappedLines(about, kColumns - kRight)) {
    if (at + 2 > kRight) {  // the name needs more room
      absl::StrAppend(&text, "\n");
      at = 0;
    }
    absl::StrAppend(&text, std::string(kRight - at, ' '), line);
    at = kColumns;
  }
  return text + "\n";
}

// The command's name under the program's, as in "token create".
std::string PathOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* at = &app; at->get_parent() != nullptr; at = at->get_parent()) {
    names.push_back(at->get_name());
  }
  return absl::StrJoin(names.rbegin(), names.rend(), " ");
}

class Formatter : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    std::string name = make_option_name(option, is_positional);
    std::string about = option->get_description();
    if (option->get_type_size() != 0) {
      // "TEXT:{table,json}": what it takes, and which of that.
      const std::string type_name = option->get_type_name();
      const std::pair<absl::string_view, absl::string_view> type =
          absl::StrSplit(type_name, absl::MaxSplits(':', 1));
      absl::string_view choices = type.second;
      if (!is_positional && !type.first.empty()) absl::StrAppend(&name, " ", type.first);
      if (absl::ConsumePrefix(&choices, "{") && absl::ConsumeSuffix(&choices, "}")) {
        absl::StrAppend(&about, "; one of ", absl::StrReplaceAll(choices, {{",", ", "}}));
      } else if (!choices.empty()) {
        absl::StrAppend(&about, " (", choices, ")");
      }
      if (!option->get_default_str().empty()) {
        absl::StrAppend(&about, " [", option->get_default_str(), "]");
      }
      if (option->get_required()) absl::StrAppend(&about, " (required)");
    }
    if (!option->get_envname().empty()) absl::StrAppend(&about, " (", option->get_envname(), ")");
    const auto others = [&](absl::string_view what, const std::set<CLI::Option*>& options) {
      if (options.empty()) return;
      std::vector<std::string> names;
      names.reserve(options.size());
      for (const CLI::Option* other : options) names.push_back(other->get_name());
      std::sort(names.begin(), names.end());  // a set of addresses has no order
      absl::StrAppend(&about, " (", what, " ", absl::StrJoin(names, ", "), ")");
    };
    others("with", option->get_needs());
    others("not with", option->get_excludes());
    return Entry(name, about);
  }
  std::string make_subcommand(const CLI::App* command) const override {
    return Entry(command->get_name(), command->get_description());
  }
  std::string make_description(const CLI::App* app) const override {
    return Paragraph(CLI::Formatter::make_description(app)) + "\n";
  }
  std::string make_usage(const CLI::App* app, std::string name) const override {
    return Paragraph(CLI::Formatter::make_usage(app, name)) + "\n";
  }
  std::string make_footer(const CLI::App* app) const override {
    std::string text;
    for (const absl::string_view line : ExamplesOf(PathOf(*app))) {
      absl::StrAppend(&text, text.empty() ? "Examples:\n" : "", "  ", line, "\n");
    }
    if (!app->get_footer().empty()) {
      absl::StrAppend(&text, text.empty() ? "" : "\n", Paragraph(app->get_footer()), "\n");
    }
    return text;
  }
};

}  // namespace

std::vector<std::string> WrappedLines(absl::string_view text, size_t columns) {
  std::vector<std::string> lines;
  for (absl::string_view paragraph : absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
    std::string line(
        paragraph.substr(0, std::min(paragraph.find_first_not_of(' '), paragraph.size())));
    bool empty = true;
    for (absl::string_view word : absl::StrSplit(paragraph, ' ', absl::SkipEmpty())) {
      if (!empty && text::DisplayWidth(line) + 1 + text::DisplayWidth(word) > columns) {
        lines.push_back(std::move(line));
        line.clear();
        empty = true;
      }
      absl::StrAppend(&line, empty ? "" : " ", word);
      empty = false;
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

std::shared_ptr<CLI::Formatter> NarrowHelp() { return std::make_shared<Formatter>(); }

}  // namespace tollgate::cli
