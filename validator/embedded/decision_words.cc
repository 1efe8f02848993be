#include "validator/embedded/decision_words.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "token/grant.h"

namespace tollgate::edge {
namespace {

constexpr std::chrono::milliseconds kRetryAfter(1000);

// A token may expire in the year 9999, but a system_clock of nanoseconds ends in 2262. A time
// beyond either end of the host's clock becomes that end, so that it never wraps into the past.
std::chrono::system_clock::time_point WallTimeOf(int64_t unix_micros) {
  using Wall = std::chrono::system_clock::time_point;
  using Micros = std::chrono::microseconds;
  const int64_t first = std::chrono::ceil<Micros>(Wall::min().time_since_epoch()).count();
  const int64_t last = std::chrono::floor<Micros>(Wall::max().time_since_epoch()).count();
  return Wall(Micros(std::clamp(unix_micros, first, last)));
}

}  // namespace

void DecisionWords::SetUnavailable(Reason reason, Decision* out) {
  out->verdict_ = Verdict::kUnavailable;
  out->reason_ = reason;
  out->fail_open_ = false;
  out->retry_after_ = kRetryAfter;
  out->expire_time_.reset();
  out->text_.clear();
  out->ends_.clear();
}

void DecisionWords::Set(const validator::Decision& inner, bool stops, Decision* out) {
  if (inner.verdict != tollgate::v1::VERDICT_ADMIT && inner.verdict != tollgate::v1::VERDICT_DENY) {
    SetUnavailable(stops ? Reason::kStopped : static_cast<Reason>(inner.reason), out);
    if (!stops) out->retry_after_ = absl::ToChronoMilliseconds(inner.retry_after);
    return;
  }
  out->verdict_ = inner.admitted() ? Verdict::kAdmit : Verdict::kDeny;
  out->reason_ = static_cast<Reason>(inner.reason);
  out->fail_open_ = inner.fail_open;
  out->retry_after_ = std::chrono::milliseconds(0);
  out->expire_time_.reset();
  out->text_.clear();
  out->ends_.clear();
  token::GrantView grant;
  if (!inner.ReadIdentity(&grant)) return;
  const auto add = [out](absl::string_view text) {
    out->text_.append(text.data(), text.size());
    out->ends_.push_back(static_cast<uint32_t>(out->text_.size()));
  };
  add(grant.token());
  add(grant.workspace());
  add(grant.token_id());
  add(grant.owner());
  for (size_t i = 0; i < grant.scope_count(); ++i) add(grant.scope(i));
  for (size_t i = 0; i < grant.annotation_count(); ++i) {
    const absl::string_view pair[] = {grant.annotation_key(i), grant.annotation_value(i)};
    // No service of ours lets a 0 byte in.
    if (absl::StrContains(pair[0], '\0') || absl::StrContains(pair[1], '\0')) continue;
    for (const absl::string_view text : pair) {
      out->text_.append(text.data(), text.size());
      out->text_.push_back('\0');
    }
  }
  if (grant.expire_time_us() != 0) {
    out->expire_time_ = WallTimeOf(grant.expire_time_us());
  }
}

}  // namespace tollgate::edge
