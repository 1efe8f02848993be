#include "policy/canonical_path.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "policy/utf8.h"

namespace tollgate::policy {
namespace {

Refusal Malformed(absl::string_view description) {
  return Refusal{400, "PATH_MALFORMED", description};
}
Refusal Ambiguous(absl::string_view description) {
  return Refusal{400, "PATH_AMBIGUOUS", description};
}

// -1: no hexadecimal digit.
int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Code points that programs which fold look-alikes (NFKC, or a code page's best fit) read as one of
// . / \ ; % ? #. In ascending order.
constexpr uint32_t kLookAlikes[] = {
    0x037E,                                                  // ; (Greek question mark)
    0x2024, 0x2025, 0x2026,                                  // . .. ...
    0x2044,                                                  // / (fraction)
    0x2047, 0x2048, 0x2049,                                  // ?? ?! !?
    0x2215, 0x2216,                                          // / \ (division, set minus)
    0x29F5, 0x29F8, 0x29F9,                                  // \ / backslash and solidus operators
    0xFE52, 0xFE54, 0xFE56, 0xFE5F, 0xFE68, 0xFE6A,          // small . ; ? # \ %
    0xFF03, 0xFF05, 0xFF0E, 0xFF0F, 0xFF1B, 0xFF1F, 0xFF3C,  // full-width # % . / ; ? backslash
    0xFF61,                                                  // half-width full stop
};

// Decodes the path once. A byte that would part the path, if it were decoded, must not come
// encoded.
Refused Decode(absl::string_view raw, std::string* path) {
  path->reserve(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '%') {
      path->push_back(raw[i]);
      continue;
    }
    const int high = i + 2 < raw.size() ? HexValue(raw[i + 1]) : -1;
    const int low = i + 2 < raw.size() ? HexValue(raw[i + 2]) : -1;
    if (high < 0 || low < 0) return Malformed("a % of the path is not followed by two hex digits");
    const char c = static_cast<char>(high * 16 + low);
    if (c == '/') return Ambiguous("the path has an encoded slash");
    path->push_back(c);
    i += 2;
  }
  return absl::nullopt;
}

Refused CheckCharacters(absl::string_view path) {
  bool ascii = true;
  for (size_t i = 0; i < path.size(); ++i) {
    const auto byte = static_cast<unsigned char>(path[i]);
    if (byte < 0x20 || byte == 0x7F) return Malformed("the path has a control character");
    if (byte >= 0x80) ascii = false;
    switch (byte) {
      case '\\':
        return Ambiguous("the path has a backslash");
      case ';':
        return Ambiguous("the path has a semicolon, which some programs cut it at");
      case '?':
      case '#':
        return Ambiguous("the path has an encoded ? or #");
      case '%':
        if (i + 1 < path.size() &&
            (absl::ascii_tolower(path[i + 1]) == 'u' ||
             (i + 2 < path.size() && HexValue(path[i + 1]) >= 0 && HexValue(path[i + 2]) >= 0))) {
          return Ambiguous("the path is encoded twice");
        }
        break;
      default:
        break;
    }
  }
  if (ascii) return absl::nullopt;
  for (size_t i = 0; i < path.size();) {
    uint32_t point = 0;
    if (!NextCodePoint(path, &i, &point)) return Malformed("the path is not UTF-8");
    if (point >= 0x80 && point < 0xA0) return Malformed("the path has a control character");
    if (std::binary_search(std::begin(kLookAlikes), std::end(kLookAlikes), point)) {
      return Ambiguous("the path has a character that some programs take for a separator");
    }
  }
  return absl::nullopt;
}

// `path` has no slash at its end.
Refused CheckSegments(absl::string_view path) {
  absl::string_view rest = path.substr(1);
  while (true) {
    const absl::string_view segment = rest.substr(0, rest.find('/'));
    if (segment.empty()) return Ambiguous("the path has an empty segment");
    if (segment == "." || segment == "..") return Ambiguous("the path has a dot segment");
    if (segment.back() == '.' || segment.back() == ' ') {
      return Ambiguous("a segment of the path ends in a dot or a space, which some programs drop");
    }
    if (segment.size() == rest.size()) return absl::nullopt;
    rest.remove_prefix(segment.size() + 1);
  }
}

// The scheme of an absolute form; empty: it has none that we know.
absl::string_view SchemeOf(absl::string_view target) {
  for (const absl::string_view scheme : {"http://", "https://"}) {
    if (absl::StartsWithIgnoreCase(target, scheme)) return target.substr(0, scheme.size() - 3);
  }
  return "";
}

}  // namespace

Refused CheckPath(absl::string_view decoded) {
  if (decoded.empty() || decoded.front() != '/') return Malformed("the path begins with no slash");
  if (Refused refused = CheckCharacters(decoded)) return refused;
  if (decoded.size() == 1) return absl::nullopt;
  return CheckSegments(decoded);
}

Refused ReadTarget(absl::string_view target, absl::string_view method, Target* read) {
  if (target.size() > kLongestTarget) {
    return Refusal{400, "TARGET_TOO_LONG", "the path and query are too long"};
  }
  for (const char c : target) {
    const auto byte = static_cast<unsigned char>(c);
    // A byte that must come encoded; programs differ on what such a one means. `#` parts a
    // fragment, which is no business of a server's.
    if (byte <= 0x20 || byte >= 0x7F || byte == '#') {
      return Refusal{400, "TARGET_MALFORMED",
                     "the path or query has a character that must come encoded"};
    }
  }
  if (target == "*" && method == "OPTIONS") {
    read->asterisk = true;
    return absl::nullopt;
  }
  if (const absl::string_view scheme = SchemeOf(target); !scheme.empty()) {
    target.remove_prefix(scheme.size() + 3);
    read->scheme = scheme;
    read->authority = target.substr(0, target.find_first_of("/?\\"));
    target.remove_prefix(read->authority.size());
    if (read->authority.empty()) {
      return Refusal{400, "TARGET_MALFORMED", "the target's host is empty"};
    }
    // The path of "http://host?a" is "/".
    if (target.empty() || target.front() == '?') read->path.push_back('/');
  } else if (target.empty() || target.front() != '/') {
    return Refusal{400, "TARGET_MALFORMED", "the target is neither a path nor a URL of HTTP"};
  }
  const size_t question = target.find('?');
  const absl::string_view raw = target.substr(0, question);
  if (question != absl::string_view::npos) read->query = target.substr(question + 1);
  if (!read->path.empty()) return absl::nullopt;
  if (Refused refused = Decode(raw, &read->path)) return refused;
  // With and without a slash at its end a path is one, because many programs serve both alike.
  if (read->path.size() > 1 && read->path.back() == '/') {
    read->path.pop_back();
    if (read->path.size() == 1) return Ambiguous("the path has an empty segment");
  }
  return CheckPath(read->path);
}

}  // namespace tollgate::policy
