#include "validator/shells/edge_options.h"

#include <algorithm>

#include "absl/strings/string_view.h"
#include "base/status.h"
#include "base/version.h"
#include "token/token_string.h"

namespace tollgate::validator {
namespace {

absl::Status CheckBounds(const EdgeOptions& o) {
  struct Bound {
    absl::string_view field;
    bool kept;
    absl::string_view says;
  };
  const auto is_table = [](int64_t entries) { return entries >= 1 && entries <= (1 << 24); };
  const Bound bounds[] = {
      {"cache_entries", is_table(o.cache_entries), "must be 1 to 16777216"},
      {"unknown_entries", is_table(o.unknown_entries), "must be 1 to 16777216"},
      {"max_questions", o.max_questions >= 1, "must be at least 1"},
      {"max_waiting", o.max_waiting >= 1, "must be at least 1"},
      {"max_holds", o.max_holds >= 0 && o.max_holds <= 10'000'000, "must be 0 to 10000000"},
      {"resolve_timeout", o.resolve_timeout > absl::ZeroDuration(), "must be above 0"},
      {"longest_backoff", o.longest_backoff > absl::ZeroDuration(), "must be above 0"},
  };
  for (const Bound& bound : bounds) {
    if (!bound.kept) return base::RefuseField("OUT_OF_RANGE", bound.field, bound.says);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ValidatorOptions> CoreOptionsOf(const EdgeOptions& o) {
  RETURN_IF_ERROR(CheckBounds(o));
  ValidatorOptions core;
  core.follower.validator_id = o.id;
  core.follower.version = base::kVersion;
  core.follower.stale_policy = o.stale_policy;
  if (o.stale_policy == tollgate::v1::STALE_POLICY_FAIL_OPEN) {
    core.follower.fail_open_for = o.fail_open_for;
  }
  core.follower.drift_bound = o.drift_bound;
  core.follower.backoff_longest = o.longest_backoff;
  core.follower.backoff_first = std::min(core.follower.backoff_first, o.longest_backoff);
  core.cache.entries = static_cast<size_t>(o.cache_entries);
  core.cache.unknown_entries = static_cast<size_t>(o.unknown_entries);
  core.resolver.most_in_flight = static_cast<size_t>(o.max_questions);
  core.resolver.most_waiting = static_cast<size_t>(o.max_waiting);
  core.resolver.longest_wait = o.resolve_timeout;
  core.holds.most = static_cast<size_t>(o.max_holds);
  core.holds.outlive_lease = o.holds_outlive_lease;
  // Tokens that are held open are told as used with each report, and take no place from others.
  core.outbox.most_unreported += core.holds.most;
  ASSIGN_OR_RETURN(core.format, token::TokenFormat::ForBrand(o.brand));
  return core;
}

}  // namespace tollgate::validator
