#include "service/tokens/rotation.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "service/records/change.h"
#include "service/records/token_shape.h"
#include "service/use/silence.h"
#include "storage/schema.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::Retirement;
using ::tollgate::store::v1::TokenRecord;
using ::tollgate::v1::RetirePlan;

constexpr size_t kMostNamed = 10;  // edges in one message

absl::StatusOr<absl::Duration> AfterOf(const RetirePlan& plan) {
  return DurationFromField(plan.after(), "retire_plan.after", kShortest, "RETIRE_AFTER_TOO_SHORT");
}

absl::StatusOr<absl::Duration> QuietOf(const RetirePlan& plan) {
  return DurationFromField(plan.when_silent(), "retire_plan.when_silent", kShortest,
                           "QUIET_PERIOD_TOO_SHORT");
}

// FAILED_PRECONDITION, REPLACEMENT_IN_USE, where an edge has reported a use of the replacement, and
// it has not ended.
absl::Status RefuseInUse(const storage::View& view, const HeldToken& token,
                         const HeldToken& replacement, absl::Time now) {
  if (token::IsFinal(replacement.StateAt(now))) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<EdgeUseRow> uses,
                   ReadUses(view, token.record.workspace(), replacement.record.token_id(), now));
  if (uses.empty()) return absl::OkStatus();
  std::vector<std::string> edges;
  for (const EdgeUseRow& use : NameLatestEdges(uses, kMostNamed)) edges.push_back(use.edge);
  base::ErrorDetails details;
  details.reason = "REPLACEMENT_IN_USE";
  details.metadata = {{"token", token.name()},
                      {"replaced_by", replacement.name()},
                      {"edges", absl::StrJoin(edges, ", ")}};
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat(
          "the replacement, ", replacement.name(), ", was used: last ",
          RoughDuration(now - uses.front().last_used), " ago at ", uses.front().edge,
          ". Somebody has its value, so it is not given up; rotate that one, or revoke it"),
      details);
}

}  // namespace

absl::Status CheckRetirePlan(const RetirePlan& plan) {
  if (plan.has_at_time()) return TimeFromField(plan.at_time(), "retire_plan.at_time").status();
  if (plan.has_after()) return AfterOf(plan).status();
  if (plan.has_when_silent()) return QuietOf(plan).status();
  return absl::OkStatus();
}

void ClearRetirePlan(TokenRecord* record, storage::Effects& effects) {
  const std::string key = storage::TokenKey(record->workspace(), record->token_id());
  const Retirement& before = record->retirement();
  if (before.at_time_us() != 0) {
    effects.Delete(storage::Table::kDue,
                   storage::DueKey(before.at_time_us(), storage::DueKind::kRetire, key));
  }
  if (before.quiet_period_us() != 0) {
    effects.Delete(storage::Table::kDue, storage::DueKey(0, storage::DueKind::kWatchSilent, key));
  }
  record->clear_retirement();
}

absl::Status PutRetirePlan(const RetirePlan& plan, const storage::Slot& slot, TokenRecord* record,
                           storage::Effects& effects) {
  const std::string key = storage::TokenKey(record->workspace(), record->token_id());
  ClearRetirePlan(record, effects);
  Retirement& retirement = *record->mutable_retirement();
  if (plan.has_at_time() || plan.has_after()) {
    absl::Time at;
    if (plan.has_after()) {
      RETURN_IF_ERROR(RefuseInDoubt(slot, "when the old token retires"));
      ASSIGN_OR_RETURN(const absl::Duration after, AfterOf(plan));
      at = slot.now + after;
    } else {
      ASSIGN_OR_RETURN(at, TimeFromField(plan.at_time(), "retire_plan.at_time"));
    }
    if (at <= slot.now) {
      return base::RefuseField("RETIRE_TIME_PAST", "retire_plan.at_time",
                               "has passed already; the old token needs time to be replaced");
    }
    retirement.set_at_time_us(ToRecordMicros(at));
    effects.PutRaw(storage::Table::kDue,
                   storage::DueKey(retirement.at_time_us(), storage::DueKind::kRetire, key), "");
  } else if (plan.has_when_silent()) {
    ASSIGN_OR_RETURN(const absl::Duration quiet, QuietOf(plan));
    retirement.set_quiet_period_us(absl::ToInt64Microseconds(quiet));
    effects.PutRaw(storage::Table::kDue, storage::DueKey(0, storage::DueKind::kWatchSilent, key),
                   "");
  } else {
    retirement.set_by_hand(true);
  }
  return absl::OkStatus();
}

absl::Status RefuseReplaced(const HeldToken& token) {
  const std::string& by_id = token.record.replaced_by_token_id();
  const std::string by = token::FormatTokenName(token.record.workspace(), by_id);
  base::ErrorDetails details;
  details.reason = "ALREADY_ROTATED";
  details.metadata = {{"token", token.name()}, {"replaced_by", by}};
  return base::Refuse(absl::StatusCode::kFailedPrecondition,
                      absl::StrCat(token.name(), " was rotated already and is replaced by ", by,
                                   "; rotate that one, or rotate again where nobody has used it"),
                      details);
}

absl::Status RefuseNotRotated(const HeldToken& token) {
  if (!token.record.replaced_by_token_id().empty()) return absl::OkStatus();
  std::string hint;
  if (!token.record.replaces_token_id().empty()) {
    hint = absl::StrCat(
        "; if you mean the rotation that made it, name the token that it replaces, ",
        token::FormatTokenName(token.record.workspace(), token.record.replaces_token_id()));
  }
  return base::Refuse(absl::StatusCode::kFailedPrecondition, "NOT_ROTATED",
                      absl::StrCat(token.name(), " has no replacement: it was not rotated", hint));
}

absl::StatusOr<HeldToken> UnusedReplacement(const storage::View& view, const HeldToken& token,
                                            absl::Time now) {
  RETURN_IF_ERROR(RefuseNotRotated(token));
  const std::string& by_id = token.record.replaced_by_token_id();
  if (token.record.retirement().unless_used_us() != 0) return RefuseReplaced(token);
  ASSIGN_OR_RETURN(HeldToken replacement, LoadToken(view, token.record.workspace(), by_id));
  if (!replacement.record.replaced_by_token_id().empty()) {
    return RefuseReplaced(replacement);
  }
  RETURN_IF_ERROR(RefuseInUse(view, token, replacement, now));
  return replacement;
}

absl::Status RefuseGivenUpInUse(const storage::View& view, const HeldToken& token, absl::Time now) {
  for (const std::string& id : token.record.given_up_token_ids()) {
    ASSIGN_OR_RETURN(const auto given_up, FindToken(view, token.record.workspace(), id));
    if (given_up.has_value()) RETURN_IF_ERROR(RefuseInUse(view, token, *given_up, now));
  }
  return absl::OkStatus();
}

void GiveUp(HeldToken& replacement, const HeldToken& old, absl::string_view instead,
            const storage::Slot& slot, storage::Effects& effects) {
  TokenRecord& record = replacement.record;
  if (token::IsFinal(replacement.StateAt(slot.now))) return;
  const int64_t quiet_us = old.record.retirement().quiet_period_us();
  record.set_replaced_by_token_id(std::string(instead));
  record.clear_retirement();
  record.mutable_retirement()->set_quiet_period_us(
      quiet_us != 0 ? quiet_us : absl::ToInt64Microseconds(kUsualQuietPeriod));
  record.mutable_retirement()->set_unless_used_us(ToRecordMicros(slot.now));
  effects.PutRaw(storage::Table::kDue,
                 storage::DueKey(0, storage::DueKind::kWatchSilent,
                                 storage::TokenKey(record.workspace(), record.token_id())),
                 "");
  PutChanged(replacement, slot, /*tell=*/true, effects);
}

}  // namespace tollgate::service
