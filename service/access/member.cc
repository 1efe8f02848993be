#include "service/access/member.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "lease/caller_name.h"
#include "token/field_rules.h"

namespace tollgate::service {
namespace {

constexpr absl::string_view kSpiffe = "spiffe://";
constexpr absl::string_view kUnix = "unix:";
constexpr size_t kLongestTrustDomain = 255;
constexpr size_t kLongestUnixName = 64;

bool AllOf(absl::string_view text, bool (*is)(char)) {
  return std::all_of(text.begin(), text.end(), is);
}

// SPIFFE-ID, section 2.1.
bool IsTrustDomain(absl::string_view name) {
  return !name.empty() && name.size() <= kLongestTrustDomain && AllOf(name, [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
  });
}

// SPIFFE-ID, section 2.2.
bool IsSegment(absl::string_view segment) {
  return !segment.empty() && segment != "." && segment != ".." && AllOf(segment, [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
  });
}

bool IsUnixName(absl::string_view name) {
  return !name.empty() && name.size() <= kLongestUnixName && AllOf(name, [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '*';
  });
}

absl::Status BadMember(absl::string_view field, absl::string_view why) {
  return base::RefuseField("BAD_MEMBER", field, why);
}

absl::Status CheckSpiffe(absl::string_view id, absl::string_view field) {
  const std::vector<absl::string_view> parts = absl::StrSplit(id, '/');
  if (!IsTrustDomain(parts[0])) {
    return BadMember(field,
                     "must be spiffe://TRUST-DOMAIN/PATH: the trust domain is of a-z, 0-9, '.', "
                     "'-' and '_', without a wildcard");
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    if (IsSegment(parts[i]) || parts[i] == "*") continue;
    if (parts[i] == "**" && i + 1 == parts.size()) continue;
    return BadMember(field,
                     "must be spiffe://TRUST-DOMAIN/PATH, with segments of letters, digits, '.', "
                     "'-' and '_'; a whole segment may be *, and the last one **");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckMember(absl::string_view member, absl::string_view field) {
  if (member.size() > kLongestMember) return BadMember(field, "is longer than 2048 bytes");
  if (member == lease::kLocalCaller) return absl::OkStatus();
  absl::string_view rest = member;
  if (absl::ConsumePrefix(&rest, kUnix)) {
    if (IsUnixName(rest)) return absl::OkStatus();
    return BadMember(field, "must be unix:NAME, with the name of a user of the service's host");
  }
  if (absl::ConsumePrefix(&rest, lease::kOperatorPrefix)) {
    if (token::CheckOperatorName(rest, field).ok()) return absl::OkStatus();
    return BadMember(field, "must be operator:NAME, with the owner of an operator token");
  }
  if (absl::ConsumePrefix(&rest, kSpiffe)) return CheckSpiffe(rest, field);
  return BadMember(field,
                   "must be spiffe://TRUST-DOMAIN/PATH, operator:NAME, unix:NAME, or local for "
                   "callers on the service's own host");
}

bool IsPattern(absl::string_view member) { return absl::StrContains(member, '*'); }

bool IsMember(absl::string_view caller, absl::string_view member) {
  if (!IsPattern(member)) return caller == member;
  if (!absl::ConsumePrefix(&caller, kSpiffe) || !absl::ConsumePrefix(&member, kSpiffe)) {
    return false;
  }
  const std::vector<absl::string_view> have = absl::StrSplit(caller, '/');
  const std::vector<absl::string_view> want = absl::StrSplit(member, '/');
  const bool open_end = want.back() == "**";
  if (open_end ? have.size() < want.size() : have.size() != want.size()) return false;
  for (size_t i = 0; i < have.size(); ++i) {
    if (i > 0 && !IsSegment(have[i])) return false;
    if (open_end && i + 1 >= want.size()) continue;
    if (i > 0 && want[i] == "*") continue;
    if (have[i] != want[i]) return false;
  }
  return true;
}

}  // namespace tollgate::service
