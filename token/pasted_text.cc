#include "token/pasted_text.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/secret.h"
#include "token/token_string.h"

namespace tollgate::token {
namespace {

struct Companion {
  absl::string_view text;
  absl::string_view name;
};

// What editors, web pages and chats put around or into what is copied, and nobody sees.
constexpr std::array<Companion, 9> kUnseen = {{
    {"\xef\xbb\xbf", "a byte order mark (U+FEFF)"},
    {"\xc2\xa0", "a no-break space (U+00A0)"},
    {"\xe2\x80\x8b", "a zero-width space (U+200B)"},
    {"\xe2\x80\x8c", "a zero-width non-joiner (U+200C)"},
    {"\xe2\x80\x8d", "a zero-width joiner (U+200D)"},
    {"\xe2\x81\xa0", "a word joiner (U+2060)"},
    {"\xc2\xad", "a soft hyphen (U+00AD)"},
    {"\xe2\x80\xaf", "a narrow no-break space (U+202F)"},
    {"\xe3\x80\x80", "an ideographic space (U+3000)"},
}};

constexpr std::array<Companion, 10> kQuotes = {{
    {"\"", "a quotation mark"},
    {"'", "a quotation mark"},
    {"`", "a backtick"},
    {"\xe2\x80\x9c", "a quotation mark"},
    {"\xe2\x80\x9d", "a quotation mark"},
    {"\xe2\x80\x98", "a quotation mark"},
    {"\xe2\x80\x99", "a quotation mark"},
    {"\xc2\xab", "a quotation mark"},
    {"\xc2\xbb", "a quotation mark"},
    {"<", "an angle bracket"},
}};

// Takes one companion off the front (or the back); its name, or empty where none is known.
absl::string_view TakeKnown(absl::string_view* text, bool front) {
  const auto take = [&](absl::string_view known) {
    return front ? absl::ConsumePrefix(text, known) : absl::ConsumeSuffix(text, known);
  };
  for (const Companion& unseen : kUnseen) {
    if (take(unseen.text)) return unseen.name;
  }
  for (const Companion& quote : kQuotes) {
    if (take(quote.text)) return quote.name;
  }
  if (!front && take(">")) return "an angle bracket";
  if (!text->empty()) {
    const char end = front ? text->front() : text->back();
    if (absl::ascii_isspace(static_cast<unsigned char>(end))) {
      front ? text->remove_prefix(1) : text->remove_suffix(1);
      return "white space";
    }
  }
  for (const absl::string_view known : {",", ";", "."}) {
    if (!front && take(known)) return "a punctuation mark";
  }
  return "";
}

// Whether `text` is `word` in any case, perhaps with white space around it, which is then passed
// over.
bool TakeWord(absl::string_view* text, absl::string_view word) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(*text);
  if (!absl::StartsWithIgnoreCase(trimmed, word)) return false;
  *text = absl::StripLeadingAsciiWhitespace(trimmed.substr(word.size()));
  return true;
}

// The names of what stands before a token string.
std::vector<absl::string_view> NamesBefore(absl::string_view before) {
  std::vector<absl::string_view> names;
  while (!before.empty()) {
    if (TakeWord(&before, "authorization:")) {
      names.push_back("\"Authorization:\", the header's name");
      continue;
    }
    if (TakeWord(&before, "bearer")) {
      names.push_back("\"Bearer\", which belongs to the header");
      continue;
    }
    const absl::string_view known = TakeKnown(&before, /*front=*/true);
    if (known.empty()) {
      names.push_back(before.back() == '=' ? "a name and \"=\"" : "other text");
      break;
    }
    names.push_back(known);
  }
  return names;
}

std::vector<absl::string_view> NamesAfter(absl::string_view after) {
  std::vector<absl::string_view> names;
  while (!after.empty()) {
    const absl::string_view known = TakeKnown(&after, /*front=*/false);
    if (known.empty()) {
      names.push_back("other text");
      break;
    }
    names.push_back(known);
  }
  return names;
}

// Each name once.
std::string Listed(std::vector<absl::string_view> names) {
  std::vector<absl::string_view> once;
  for (const absl::string_view name : names) {
    if (std::find(once.begin(), once.end(), name) == once.end()) once.push_back(name);
  }
  return absl::StrJoin(once, ", then ");
}

// The text without what nobody sees, and the name of the first of it.
std::pair<std::string, absl::string_view> WithoutUnseen(absl::string_view text) {
  std::string seen;
  seen.reserve(text.size());  // so that no copy of a secret is left behind
  absl::string_view first;
  while (!text.empty()) {
    absl::string_view name;
    for (const Companion& unseen : kUnseen) {
      if (absl::ConsumePrefix(&text, unseen.text)) {
        name = unseen.name;
        break;
      }
    }
    if (name.empty() && absl::ascii_isspace(static_cast<unsigned char>(text.front()))) {
      text.remove_prefix(1);
      name = "white space";
    }
    if (name.empty()) {
      seen.push_back(text.front());
      text.remove_prefix(1);
    } else if (first.empty()) {
      first = name;
    }
  }
  return {std::move(seen), first};
}

// Of a text that has the look of one: brand, kind, `_`, and base62 behind it.
std::string FaultOfBody(absl::string_view text) {
  const size_t bar = text.find('_');
  if (bar == absl::string_view::npos || bar < 3 || bar > 9 ||
      !std::all_of(text.begin(), text.begin() + bar, absl::ascii_islower)) {
    return "is no token string: one begins with a few lower-case letters and \"_\", as in tgw_";
  }
  const absl::string_view body = text.substr(bar + 1);
  const auto odd = std::find_if_not(body.begin(), body.end(), absl::ascii_isalnum);
  if (odd != body.end()) {
    return absl::StrCat(
        "has something else than letters and digits behind the \"_\", first at "
        "character ",
        bar + 2 + static_cast<size_t>(odd - body.begin()));
  }
  if (body.size() != kBodyLength) {
    return absl::StrCat(
        "has ", body.size(), " characters behind the \"_\", where a token string has ", kBodyLength,
        ": ", body.size() < kBodyLength ? "a part is missing" : "something was added");
  }
  return "has the length of a token string, and a checksum that does not hold: a character is "
         "another one than was shown";
}

}  // namespace

std::string FaultOfPastedText(absl::string_view text) {
  if (text.empty()) return "is empty";
  const absl::string_view found = FindTokenString(text);
  if (!found.empty()) {
    if (found.size() == text.size()) return "";
    const size_t at = static_cast<size_t>(found.data() - text.data());
    std::vector<std::string> faults;
    if (at > 0) {
      faults.push_back(absl::StrCat("begins with ", Listed(NamesBefore(text.substr(0, at)))));
    }
    if (at + found.size() < text.size()) {
      faults.push_back(
          absl::StrCat("ends with ", Listed(NamesAfter(text.substr(at + found.size())))));
    }
    return absl::StrCat(absl::StrJoin(faults, ", and "), "; without that it is a token string");
  }
  auto [seen, unseen] = WithoutUnseen(text);
  const absl::Cleanup wipe = [&seen = seen] { base::WipeString(&seen); };
  if (!unseen.empty() && HoldsTokenString(seen)) {
    return absl::StrCat("has ", unseen, " inside; without that it holds a token string");
  }
  return FaultOfBody(text);
}

}  // namespace tollgate::token
