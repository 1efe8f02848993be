#include "policy/host.h"

#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace tollgate::policy {
namespace {

constexpr size_t kLongestName = 253;
constexpr size_t kLongestLabel = 63;

Refusal Malformed(absl::string_view description) {
  return Refusal{400, "HOST_MALFORMED", description};
}

bool IsLowerName(char c) {
  return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-' || c == '_';
}

// An IPv6 address in brackets; its form is not looked at further.
bool IsBracketed(absl::string_view name) {
  if (name.size() < 4 || name.size() > 47 || name.front() != '[' || name.back() != ']')
    return false;
  for (const char c : name.substr(1, name.size() - 2)) {
    if (!absl::ascii_isdigit(c) && !(c >= 'a' && c <= 'f') && c != ':' && c != '.') return false;
  }
  return true;
}

}  // namespace

bool IsHostName(absl::string_view name) {
  if (name.empty() || name.size() > kLongestName) return false;
  if (name.front() == '[') return IsBracketed(name);
  size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
    } else if (!IsLowerName(c) || ++label > kLongestLabel) {
      return false;
    }
  }
  return label > 0;
}

Refused ReadHost(absl::string_view text, Host* host) {
  if (absl::StrContains(text, '@')) return Malformed("the host has user information");
  const size_t bracket = text.rfind(']');
  const size_t colon = text.find(':', bracket == absl::string_view::npos ? 0 : bracket);
  if (colon != absl::string_view::npos) {
    const absl::string_view port = text.substr(colon + 1);
    for (const char c : port) {  // SimpleAtoi takes signs and spaces
      if (!absl::ascii_isdigit(c)) return Malformed("the host's port is no number");
    }
    if (port.size() > 5 || !absl::SimpleAtoi(port, &host->port) || host->port < 1 ||
        host->port > 65535) {
      return Malformed("the host's port is none of 1 to 65535");
    }
    text = text.substr(0, colon);
  }
  host->name = absl::AsciiStrToLower(text);
  if (absl::EndsWith(host->name, ".") && IsHostName(host->name.substr(0, host->name.size() - 1))) {
    return Refusal{400, "HOST_AMBIGUOUS", "the host ends in a dot, which some programs drop"};
  }
  if (!IsHostName(host->name)) return Malformed("the host is neither a name nor an address");
  return absl::nullopt;
}

}  // namespace tollgate::policy
