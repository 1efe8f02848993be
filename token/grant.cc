#include "token/grant.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "absl/base/attributes.h"
#include "token/edge_annotations.h"

namespace tollgate::token {
namespace {

using ::tollgate::v1::TokenState;
using ::tollgate::v1::VerdictReason;

// The layout: a head, a table of (offset, length), the strings. The table's order: token,
// workspace, token_id, owner, then the scopes, then the audiences, then key and value of each
// annotation. In the machine's own byte order, because a packed grant never leaves the process.
struct Head {
  uint32_t magic;
  uint32_t size;  // of everything
  int64_t expire_time_us;
  int64_t retire_time_us;
  int64_t create_revision;
  uint32_t create_index;
  uint16_t scope_count;
  uint16_t audience_count;
  uint32_t state;
  uint16_t annotation_count;
  uint16_t report_attempt_addresses;
};
struct Entry {
  uint32_t offset;
  uint32_t length;
};
static_assert(sizeof(Head) == 48 && sizeof(Entry) == 8, "no padding: every byte is written");

constexpr uint32_t kMagic = 0x31475454;
constexpr size_t kFixedStrings = 4;

// Reads one field of the head; `fallback` where the bytes end before it.
template <typename T>
T Read(absl::string_view bytes, size_t offset, T fallback) {
  if (bytes.size() < offset + sizeof(T)) return fallback;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// Whether the whole table, and every string that it names, lies within the bytes.
bool Sound(absl::string_view bytes) {
  Head head;
  if (bytes.size() < sizeof(head)) return false;
  std::memcpy(&head, bytes.data(), sizeof(head));
  if (head.magic != kMagic || head.size != bytes.size()) return false;
  const size_t count = kFixedStrings + size_t{head.scope_count} + size_t{head.audience_count} +
                       2 * size_t{head.annotation_count};
  if ((bytes.size() - sizeof(head)) / sizeof(Entry) < count) return false;
  for (size_t i = 0; i < count; ++i) {
    Entry entry;
    std::memcpy(&entry, bytes.data() + sizeof(head) + i * sizeof(Entry), sizeof(entry));
    if (entry.offset > bytes.size() || entry.length > bytes.size() - entry.offset) return false;
  }
  return true;
}

int64_t ToMicros(const google::protobuf::Timestamp& time) {
  // Clamped to what a Timestamp may hold (years 1 to 9999), so that nothing overflows.
  const int64_t seconds = std::clamp<int64_t>(time.seconds(), -62'135'596'800, 253'402'300'799);
  const int64_t nanos = std::clamp<int64_t>(time.nanos(), 0, 999'999'999);
  // Rounded down, because rounding may only shorten a time. 0 means "unset", so the epoch itself
  // becomes a micro earlier.
  const int64_t micros = seconds * 1'000'000 + nanos / 1000;
  return micros == 0 ? -1 : micros;
}

bool TokenHasScope(const GrantView& grant, size_t scopes, absl::string_view needed) {
  for (size_t i = 0; i < scopes; ++i) {
    if (ScopeGrants(grant.scope(i), needed)) return true;
  }
  return false;
}

bool AudienceFits(const GrantView& grant, absl::string_view audience) {
  const size_t count = grant.audience_count();
  if (count == 0) return true;
  if (audience.empty()) return false;
  for (size_t i = 0; i < count; ++i) {
    if (grant.audience(i) == audience) return true;
  }
  return false;
}

// Out of line, because most requirements have no expression: the rest of a decision stays as small
// as it would be without.
ABSL_ATTRIBUTE_NOINLINE bool ExpressionHolds(const GrantView& grant,
                                             const ScopeExpression& expression) {
  const size_t count = grant.scope_count();
  return expression.HoldsFor([&grant, count](absl::string_view needed) {
    for (size_t i = 0; i < count; ++i) {
      if (ScopeGrants(grant.scope(i), needed)) return true;
    }
    return false;
  });
}

bool ScopesSuffice(const GrantView& grant, const Requirement& requirement) {
  const size_t count = grant.scope_count();
  for (const std::string& needed : requirement.all_scopes) {
    if (!TokenHasScope(grant, count, needed)) return false;
  }
  if (!requirement.scope_expression.empty() &&
      !ExpressionHolds(grant, requirement.scope_expression)) {
    return false;
  }
  if (requirement.any_scopes.empty()) return true;
  for (const std::string& needed : requirement.any_scopes) {
    if (TokenHasScope(grant, count, needed)) return true;
  }
  return false;
}

}  // namespace

std::string PackGrant(const tollgate::v1::Grant& grant) {
  constexpr int kMost = std::numeric_limits<uint16_t>::max();
  Head head{};
  head.magic = kMagic;
  head.expire_time_us = grant.has_expire_time() ? ToMicros(grant.expire_time()) : 0;
  head.retire_time_us = grant.has_retire_time() ? ToMicros(grant.retire_time()) : 0;
  head.create_revision = grant.create_revision();
  head.create_index = grant.create_index();
  head.state = static_cast<uint32_t>(grant.state());
  // Scopes above the count are dropped, which can only refuse. So are audiences: the ones that are
  // kept still restrict.
  head.scope_count = static_cast<uint16_t>(std::min(grant.scopes_size(), kMost));
  head.audience_count = static_cast<uint16_t>(std::min(grant.audiences_size(), kMost));
  head.report_attempt_addresses = grant.report_attempt_addresses() ? 1 : 0;

  std::vector<absl::string_view> strings = {grant.token(), grant.workspace(), grant.token_id(),
                                            grant.owner()};
  for (int i = 0; i < head.scope_count; ++i) strings.push_back(grant.scopes(i));
  for (int i = 0; i < head.audience_count; ++i) strings.push_back(grant.audiences(i));
  for (const auto& [key, value] : ToldAnnotations(grant.annotations())) {
    strings.push_back(key);
    strings.push_back(value);
    ++head.annotation_count;
  }
  size_t size = sizeof(Head) + strings.size() * sizeof(Entry);
  const size_t text_at = size;
  for (absl::string_view s : strings) size += s.size();
  head.size = static_cast<uint32_t>(size);

  std::string packed(size, '\0');
  std::memcpy(packed.data(), &head, sizeof(head));
  size_t offset = text_at;
  for (size_t i = 0; i < strings.size(); ++i) {
    const Entry entry{static_cast<uint32_t>(offset), static_cast<uint32_t>(strings[i].size())};
    std::memcpy(packed.data() + sizeof(Head) + i * sizeof(Entry), &entry, sizeof(entry));
    packed.replace(offset, strings[i].size(), strings[i].data(), strings[i].size());
    offset += strings[i].size();
  }
  return packed;
}

bool GrantView::Over(absl::string_view bytes, GrantView* view) {
  if (!Sound(bytes)) return false;
  view->bytes_ = bytes;
  return true;
}

absl::string_view GrantView::String(size_t i) const {
  // Checked again on every read, because the bytes may have changed since Over.
  const size_t at = sizeof(Head) + i * sizeof(Entry);
  if (bytes_.size() < at + sizeof(Entry)) return {};
  Entry entry;
  std::memcpy(&entry, bytes_.data() + at, sizeof(entry));
  if (entry.offset > bytes_.size() || entry.length > bytes_.size() - entry.offset) return {};
  return bytes_.substr(entry.offset, entry.length);
}

absl::string_view GrantView::token() const { return String(0); }
absl::string_view GrantView::workspace() const { return String(1); }
absl::string_view GrantView::token_id() const { return String(2); }
absl::string_view GrantView::owner() const { return String(3); }

TokenState GrantView::state() const {
  const uint32_t state = Read<uint32_t>(bytes_, offsetof(Head, state), 0);
  // Only values in the enum's range: branching on any other value would be undefined.
  if (state > static_cast<uint32_t>(tollgate::v1::TokenState_MAX)) {
    return tollgate::v1::TOKEN_STATE_UNSPECIFIED;
  }
  return static_cast<TokenState>(state);
}

int64_t GrantView::expire_time_us() const {
  return Read<int64_t>(bytes_, offsetof(Head, expire_time_us), 0);
}
int64_t GrantView::retire_time_us() const {
  return Read<int64_t>(bytes_, offsetof(Head, retire_time_us), 0);
}
int64_t GrantView::create_revision() const {
  return Read<int64_t>(bytes_, offsetof(Head, create_revision), 0);
}
uint32_t GrantView::create_index() const {
  return Read<uint32_t>(bytes_, offsetof(Head, create_index), 0);
}
size_t GrantView::scope_count() const {
  return Read<uint16_t>(bytes_, offsetof(Head, scope_count), 0);
}
size_t GrantView::audience_count() const {
  return Read<uint16_t>(bytes_, offsetof(Head, audience_count), 0);
}
absl::string_view GrantView::scope(size_t i) const {
  return i < scope_count() ? String(kFixedStrings + i) : absl::string_view();
}
absl::string_view GrantView::audience(size_t i) const {
  return i < audience_count() ? String(kFixedStrings + scope_count() + i) : absl::string_view();
}
size_t GrantView::annotations_at() const {
  return kFixedStrings + scope_count() + audience_count();
}
size_t GrantView::annotation_count() const {
  return Read<uint16_t>(bytes_, offsetof(Head, annotation_count), 0);
}
absl::string_view GrantView::annotation_key(size_t i) const {
  return i < annotation_count() ? String(annotations_at() + 2 * i) : absl::string_view();
}
absl::string_view GrantView::annotation_value(size_t i) const {
  return i < annotation_count() ? String(annotations_at() + 2 * i + 1) : absl::string_view();
}
absl::string_view GrantView::annotation(absl::string_view key) const {
  const size_t count = annotation_count();
  for (size_t i = 0; i < count; ++i) {
    if (annotation_key(i) == key) return annotation_value(i);
  }
  return {};
}
bool GrantView::report_attempt_addresses() const {
  return Read<uint16_t>(bytes_, offsetof(Head, report_attempt_addresses), 0) == 1;
}

VerdictReason Decide(const GrantView& grant, const Requirement& requirement,
                     absl::Time service_now) {
  const TokenState state = grant.state();
  if (state == tollgate::v1::TOKEN_STATE_REVOKED) return tollgate::v1::VERDICT_REASON_REVOKED;
  if (state == tollgate::v1::TOKEN_STATE_EXPIRED) return tollgate::v1::VERDICT_REASON_EXPIRED;
  if (state == tollgate::v1::TOKEN_STATE_UNSPECIFIED) {
    return tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE;
  }
  // As in StateAt, the earlier of two times that have passed decides.
  const int64_t expire_us = grant.expire_time_us();
  const int64_t retire_us = grant.retire_time_us();
  const bool expired = expire_us != 0 && absl::FromUnixMicros(expire_us) <= service_now;
  const bool retired = retire_us != 0 && absl::FromUnixMicros(retire_us) <= service_now;
  if (expired && (!retired || expire_us <= retire_us)) {
    return tollgate::v1::VERDICT_REASON_EXPIRED;
  }
  if (retired) return tollgate::v1::VERDICT_REASON_REVOKED;
  if (state == tollgate::v1::TOKEN_STATE_SUSPENDED) return tollgate::v1::VERDICT_REASON_SUSPENDED;
  if (!AudienceFits(grant, requirement.audience)) {
    return tollgate::v1::VERDICT_REASON_WRONG_AUDIENCE;
  }
  if (!requirement.workspace.empty() && grant.workspace() != requirement.workspace) {
    return tollgate::v1::VERDICT_REASON_WRONG_WORKSPACE;
  }
  if (!ScopesSuffice(grant, requirement)) return tollgate::v1::VERDICT_REASON_INSUFFICIENT_SCOPE;
  return tollgate::v1::VERDICT_REASON_UNSPECIFIED;
}

absl::string_view Describe(VerdictReason reason) {
  switch (reason) {
    case tollgate::v1::VERDICT_REASON_UNSPECIFIED:
      return "admitted";
    case tollgate::v1::VERDICT_REASON_NO_TOKEN:
      return "no token was presented";
    case tollgate::v1::VERDICT_REASON_MALFORMED:
      return "malformed";
    case tollgate::v1::VERDICT_REASON_UNKNOWN:
      return "unknown";
    case tollgate::v1::VERDICT_REASON_REVOKED:
      return "revoked";
    case tollgate::v1::VERDICT_REASON_EXPIRED:
      return "expired";
    case tollgate::v1::VERDICT_REASON_SUSPENDED:
      return "suspended";
    case tollgate::v1::VERDICT_REASON_INSUFFICIENT_SCOPE:
      return "a needed scope is missing";
    case tollgate::v1::VERDICT_REASON_WRONG_AUDIENCE:
      return "not meant for this service";
    case tollgate::v1::VERDICT_REASON_WRONG_WORKSPACE:
      return "not meant for this workspace";
    case tollgate::v1::VERDICT_REASON_NO_LEASE:
    case tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE:
    case tollgate::v1::VERDICT_REASON_OVERLOADED:
      return "temporarily unavailable";
    default:
      return "refused";
  }
}

}  // namespace tollgate::token
