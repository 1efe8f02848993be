#include "policy/pattern.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "policy/canonical_path.h"
#include "policy/host.h"

namespace tollgate::policy {
namespace {

constexpr size_t kLongestPattern = 1024;
constexpr size_t kLongestVariable = 32;
constexpr size_t kLongestMethod = 32;

absl::Status Bad(absl::string_view what) { return absl::InvalidArgumentError(what); }

bool IsVariableName(absl::string_view name) {
  if (name.empty() || name.size() > kLongestVariable || !absl::ascii_islower(name[0])) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
  });
}

// A byte that a decoded path may have and that a policy must not, with what to write instead;
// empty: the text is fine.
std::string Misspelt(absl::string_view text) {
  if (text.empty() || text.front() != '/') return "a path begins with a slash";
  if (text.size() > kLongestPattern) {
    return absl::StrCat("a path has at most ", kLongestPattern, " characters");
  }
  if (text.size() > 1 && text.back() == '/') {
    const size_t last = text.find_last_not_of('/');
    return absl::StrCat("write `", last == absl::string_view::npos ? "/" : text.substr(0, last + 1),
                        "`: a slash at the end of a path makes no difference");
  }
  if (absl::StrContains(text, '%')) {
    return "write the path as it reads when it is decoded, without %";
  }
  if (absl::StrContains(text, '*')) {
    return "there is no * in a path: `prefix:` takes all that lies below a path, `{name}` any one "
           "segment";
  }
  if (absl::StrContains(text, '?')) return "a path has no query: the query is not looked at";
  return "";
}

bool SameText(absl::string_view a, absl::string_view b, bool fold_case) {
  return fold_case ? absl::EqualsIgnoreCase(a, b) : a == b;
}

}  // namespace

absl::StatusOr<HostPattern> HostPattern::Parse(absl::string_view text) {
  HostPattern pattern;
  pattern.kind = Kind::kExact;
  absl::string_view name = text;
  if (absl::ConsumePrefix(&name, "*.")) pattern.kind = Kind::kSuffix;
  if (absl::StrContains(name, '*')) {
    return Bad("a * stands only at the beginning, as in `\"*.example\"`; leave `host` out for all");
  }
  if (name != absl::AsciiStrToLower(name)) {
    return Bad(absl::StrCat("write `", absl::AsciiStrToLower(text), "`: hosts have no case"));
  }
  if (!IsHostName(name) || (pattern.kind == Kind::kSuffix && name.front() == '[')) {
    if (absl::StrContains(name, ':')) return Bad("a host without a port, as in `api.example`");
    return Bad("a host is a name in ASCII or an address, as in `api.example`, `\"*.example\"`");
  }
  pattern.name = std::string(name);
  return pattern;
}

std::string HostPattern::text() const {
  return absl::StrCat(kind == Kind::kSuffix ? "*." : "", name);
}

absl::StatusOr<PathPattern> PathPattern::Parse(absl::string_view text, Kind kind) {
  if (const std::string wrong = Misspelt(text); !wrong.empty()) return Bad(wrong);
  if (const Refused refused = CheckPath(text)) {
    return Bad(absl::StrCat("no request can match it: ", refused->description));
  }
  PathPattern pattern;
  pattern.kind = kind;
  if (text == "/") return pattern;
  for (const absl::string_view segment : absl::StrSplit(text.substr(1), '/')) {
    Segment read;
    const bool braces = absl::StrContains(segment, '{') || absl::StrContains(segment, '}');
    if (braces) {
      if (segment.front() != '{' || segment.back() != '}' ||
          !IsVariableName(segment.substr(1, segment.size() - 2))) {
        return Bad(absl::StrCat("`", segment,
                                "`: a variable is a whole segment, `{name}`, with a name of a-z "
                                "0-9 _"));
      }
      read.variable = true;
      read.text = std::string(segment.substr(1, segment.size() - 2));
      if (pattern.IndexOf(read.text).has_value()) {
        return Bad(absl::StrCat("the variable {", read.text, "} stands twice"));
      }
    } else {
      read.text = std::string(segment);
    }
    pattern.segments.push_back(std::move(read));
  }
  return pattern;
}

absl::StatusOr<PathPattern> PathPattern::ParseGrpc(absl::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(text, '/');
  const auto word = [](absl::string_view part, absl::string_view besides) {
    return !part.empty() && std::all_of(part.begin(), part.end(), [besides](char c) {
      return absl::ascii_isalnum(c) || absl::StrContains(besides, c);
    });
  };
  if (parts.size() != 3 || !parts[0].empty() || !word(parts[1], "._") ||
      !(parts[2] == "*" || word(parts[2], "_"))) {
    return Bad("a gRPC method is `/package.Service/Method`, or `/package.Service/*` for all");
  }
  return Parse(absl::StrCat("/", parts[1], "/", parts[2] == "*" ? "{method}" : parts[2]),
               Kind::kExact);
}

absl::optional<size_t> PathPattern::IndexOf(absl::string_view variable) const {
  for (size_t i = 0; i < segments.size(); ++i) {
    if (segments[i].variable && segments[i].text == variable) return i;
  }
  return absl::nullopt;
}

std::string PathPattern::text() const {
  if (kind == Kind::kAny) return "any path";
  std::string text;
  for (const Segment& segment : segments) {
    absl::StrAppend(&text, "/", segment.variable ? "{" : "", segment.text,
                    segment.variable ? "}" : "");
  }
  if (kind == Kind::kPrefix) return text + "/…";
  return text.empty() ? "/" : text;
}

bool IsMethod(absl::string_view method) {
  if (method.empty() || method.size() > kLongestMethod) return false;
  return std::all_of(method.begin(), method.end(), [](char c) {
    return absl::ascii_isupper(c) || absl::ascii_isdigit(c) ||
           absl::StrContains("!#$%&'*+-.^_`|~", c);
  });
}

bool HostCovers(const HostPattern& earlier, const HostPattern& later) {
  if (earlier.kind == HostPattern::Kind::kAny) return true;
  if (later.kind == HostPattern::Kind::kAny) return false;
  if (earlier.kind == HostPattern::Kind::kExact) {
    return later.kind == HostPattern::Kind::kExact && later.name == earlier.name;
  }
  if (later.kind == HostPattern::Kind::kSuffix && later.name == earlier.name) return true;
  return absl::EndsWith(later.name, absl::StrCat(".", earlier.name));
}

bool PathCovers(const PathPattern& earlier, const PathPattern& later, bool fold_case) {
  using Kind = PathPattern::Kind;
  if (earlier.kind == Kind::kAny) return true;
  if (later.kind == Kind::kAny) return false;
  if (earlier.kind == Kind::kExact &&
      (later.kind != Kind::kExact || later.segments.size() != earlier.segments.size())) {
    return false;
  }
  if (later.segments.size() < earlier.segments.size()) return false;
  for (size_t i = 0; i < earlier.segments.size(); ++i) {
    if (earlier.segments[i].variable) continue;
    if (later.segments[i].variable ||
        !SameText(earlier.segments[i].text, later.segments[i].text, fold_case)) {
      return false;
    }
  }
  return true;
}

bool Covers(const Pattern& earlier, const Pattern& later, bool fold_case) {
  if (!HostCovers(earlier.host, later.host)) return false;
  if (!PathCovers(earlier.path, later.path, fold_case)) return false;
  if (earlier.methods.empty()) return true;
  if (later.methods.empty()) return false;
  return std::all_of(later.methods.begin(), later.methods.end(), [&](const std::string& method) {
    return std::find(earlier.methods.begin(), earlier.methods.end(), method) !=
           earlier.methods.end();
  });
}

}  // namespace tollgate::policy
