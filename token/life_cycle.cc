#include "token/life_cycle.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "token/resource_name.h"

namespace tollgate::token {
namespace {

using ::tollgate::store::v1::CohortRecord;
using ::tollgate::store::v1::Ending;
using ::tollgate::store::v1::TokenRecord;
using ::tollgate::v1::TokenState;

// Why a token has ended.
enum class Cause { kAlive, kEnding, kCohort, kExpireTime, kRetireTime };

int64_t RetireTimeUs(const TokenRecord& record) {
  return record.has_retirement() ? record.retirement().at_time_us() : 0;
}

Cause CauseOfEnd(const TokenRecord& record, const CohortRecord* cohort, absl::Time now) {
  // An end that a commit made. The earlier revision wins, because the later commit found a token
  // that was final already.
  if (record.has_ending() &&
      (cohort == nullptr || record.ending().revision() <= cohort->revision())) {
    return Cause::kEnding;
  }
  // An end that time made, before the sweep has committed it (R18). Of two times that have passed
  // the earlier wins; otherwise the answer would change once the later one passes. A cohort ends
  // only what was live at its time, so an end that time had made by then stays as it is.
  const absl::Time then = cohort != nullptr ? absl::FromUnixMicros(cohort->time_us()) : now;
  const int64_t expire_us = record.expire_time_us();
  const int64_t retire_us = RetireTimeUs(record);
  const bool expired = expire_us != 0 && absl::FromUnixMicros(expire_us) <= then;
  const bool retired = retire_us != 0 && absl::FromUnixMicros(retire_us) <= then;
  if (expired && (!retired || expire_us <= retire_us)) return Cause::kExpireTime;
  if (retired) return Cause::kRetireTime;
  return cohort != nullptr ? Cause::kCohort : Cause::kAlive;
}

tollgate::v1::EndCause CauseOf(Ending::Kind kind) {
  switch (kind) {
    case Ending::KIND_REVOKED:
      return tollgate::v1::END_CAUSE_REVOKED;
    case Ending::KIND_EXPIRED:
      return tollgate::v1::END_CAUSE_EXPIRED;
    case Ending::KIND_RETIRED:
      return tollgate::v1::END_CAUSE_RETIRED;
    case Ending::KIND_UNUSED:
      return tollgate::v1::END_CAUSE_UNUSED;
    case Ending::KIND_COHORT:
      return tollgate::v1::END_CAUSE_COHORT;
    default:
      return tollgate::v1::END_CAUSE_UNSPECIFIED;
  }
}

TokenState StateOf(const TokenRecord& record, Cause cause) {
  switch (cause) {
    case Cause::kEnding:
      switch (record.ending().kind()) {
        case Ending::KIND_EXPIRED:
        case Ending::KIND_UNUSED:  // a policy's longest unused time ran out
          return tollgate::v1::TOKEN_STATE_EXPIRED;
        default:
          // A kind that this build does not know is still an end.
          return tollgate::v1::TOKEN_STATE_REVOKED;
      }
    case Cause::kExpireTime:
      return tollgate::v1::TOKEN_STATE_EXPIRED;
    case Cause::kCohort:
    case Cause::kRetireTime:
      return tollgate::v1::TOKEN_STATE_REVOKED;
    case Cause::kAlive:
      break;
  }
  if (record.suspended()) return tollgate::v1::TOKEN_STATE_SUSPENDED;
  if (record.has_retirement()) return tollgate::v1::TOKEN_STATE_RETIRING;
  return tollgate::v1::TOKEN_STATE_ACTIVE;
}

// How the token has ended; not for one that is alive.
tollgate::v1::TokenEnd EndOf(const TokenRecord& record, const CohortRecord* cohort, Cause cause) {
  tollgate::v1::TokenEnd end;
  int64_t time_us = 0;
  // Time ends a token without a commit; the cohort's is then the first that says so.
  end.set_revision(cohort != nullptr ? cohort->revision() : 0);
  switch (cause) {
    case Cause::kEnding:
      end.set_cause(CauseOf(record.ending().kind()));
      end.set_actor(record.ending().actor());
      end.set_revision(record.ending().revision());
      time_us = record.ending().time_us();
      break;
    case Cause::kCohort:
      end.set_cause(tollgate::v1::END_CAUSE_COHORT);
      end.set_actor(cohort->actor());
      time_us = cohort->time_us();
      break;
    case Cause::kExpireTime:
      end.set_cause(tollgate::v1::END_CAUSE_EXPIRED);
      time_us = record.expire_time_us();
      break;
    case Cause::kRetireTime:
      end.set_cause(tollgate::v1::END_CAUSE_RETIRED);
      time_us = RetireTimeUs(record);
      break;
    case Cause::kAlive:
      break;
  }
  *end.mutable_time() = base::TimestampFromMicros(time_us);
  return end;
}

bool CohortCovers(const CohortRecord& cohort, const TokenRecord& record) {
  return Covers(cohort.revision(), cohort.index(), record.create_revision(), record.create_index());
}

// The first watermark of one key that covers the token.
const CohortRecord* FirstThatCovers(const absl::optional<CohortRecord>& latest,
                                    const TokenRecord& record) {
  if (!latest.has_value() || !CohortCovers(*latest, record)) return nullptr;
  for (const CohortRecord& earlier : latest->earlier()) {
    if (CohortCovers(earlier, record)) return &earlier;
  }
  return &*latest;
}

}  // namespace

const CohortRecord* CoveringCohort(const TokenRecord& record, const Cohorts& cohorts) {
  const CohortRecord* workspace = FirstThatCovers(cohorts.workspace, record);
  const CohortRecord* owner = FirstThatCovers(cohorts.owner, record);
  if (workspace == nullptr) return owner;
  if (owner == nullptr) return workspace;
  // The owner's, when it lies below the workspace's.
  return Covers(workspace->revision(), workspace->index(), owner->revision(), owner->index())
             ? owner
             : workspace;
}

bool WriteCohortsEnd(const Cohorts& cohorts, TokenRecord* record) {
  const CohortRecord* cohort = CoveringCohort(*record, cohorts);
  if (cohort == nullptr) return false;
  const Cause cause = CauseOfEnd(*record, cohort, absl::FromUnixMicros(cohort->time_us()));
  if (cause == Cause::kEnding) return false;
  Ending& ending = *record->mutable_ending();
  ending.Clear();
  ending.set_revision(cohort->revision());
  switch (cause) {
    case Cause::kExpireTime:
      ending.set_kind(Ending::KIND_EXPIRED);
      ending.set_time_us(record->expire_time_us());
      break;
    case Cause::kRetireTime:
      ending.set_kind(Ending::KIND_RETIRED);
      ending.set_time_us(RetireTimeUs(*record));
      break;
    default:
      ending.set_kind(Ending::KIND_COHORT);
      ending.set_time_us(cohort->time_us());
      ending.set_actor(cohort->actor());
      record->set_reason(cohort->reason());
      record->set_update_time_us(std::max(record->update_time_us(), cohort->time_us()));
      record->set_update_revision(std::max(record->update_revision(), cohort->revision()));
      break;
  }
  return true;
}

TokenState StateAt(const TokenRecord& record, const Cohorts& cohorts, absl::Time now) {
  return StateOf(record, CauseOfEnd(record, CoveringCohort(record, cohorts), now));
}

tollgate::v1::Grant ToGrant(const TokenRecord& record, const Cohorts& cohorts) {
  tollgate::v1::Grant grant;
  grant.set_token(FormatTokenName(record.workspace(), record.token_id()));
  grant.set_workspace(record.workspace());
  grant.set_token_id(record.token_id());
  grant.set_owner(record.owner());
  grant.set_state(StateAt(record, cohorts, absl::InfinitePast()));
  *grant.mutable_scopes() = record.scopes();
  *grant.mutable_audiences() = record.audiences();
  if (record.expire_time_us() != 0) {
    *grant.mutable_expire_time() = base::TimestampFromMicros(record.expire_time_us());
  }
  if (RetireTimeUs(record) != 0)
    *grant.mutable_retire_time() = base::TimestampFromMicros(RetireTimeUs(record));
  grant.set_create_revision(record.create_revision());
  grant.set_create_index(record.create_index());
  return grant;
}

tollgate::v1::Token ToToken(const TokenRecord& record, const Cohorts& cohorts,
                            absl::Duration rotation_period, absl::Time now) {
  const CohortRecord* cohort = CoveringCohort(record, cohorts);
  const Cause cause = CauseOfEnd(record, cohort, now);
  const TokenState state = StateOf(record, cause);

  tollgate::v1::Token token;
  token.set_name(FormatTokenName(record.workspace(), record.token_id()));
  token.set_token_id(record.token_id());
  token.set_label(record.label());
  *token.mutable_scopes() = record.scopes();
  *token.mutable_audiences() = record.audiences();
  token.set_owner(record.owner());
  token.set_creator(record.creator());
  *token.mutable_annotations() = record.annotations();
  token.set_state(state);
  // Of a token that was purged it is not known.
  if (record.create_time_us() != 0) {
    *token.mutable_create_time() = base::TimestampFromMicros(record.create_time_us());
  }
  token.set_create_revision(record.create_revision());
  token.set_reason(record.reason());
  int64_t update_time_us = record.update_time_us();
  int64_t update_revision = record.update_revision();
  if (cause == Cause::kCohort) {
    // The cohort's commit did not write to the record, but changed the token all the same.
    token.set_reason(cohort->reason());
    update_time_us = std::max(update_time_us, cohort->time_us());
    update_revision = std::max(update_revision, cohort->revision());
  }
  *token.mutable_update_time() = base::TimestampFromMicros(update_time_us);
  token.set_update_revision(update_revision);
  // With the time, so that a revision of another epoch is not taken for this one.
  token.set_etag(absl::StrCat(update_revision, "-", update_time_us));
  if (record.expire_time_us() != 0) {
    *token.mutable_expire_time() = base::TimestampFromMicros(record.expire_time_us());
  }

  if (state == tollgate::v1::TOKEN_STATE_REVOKED) {
    const int64_t revoke_time_us = cause == Cause::kEnding   ? record.ending().time_us()
                                   : cause == Cause::kCohort ? cohort->time_us()
                                                             : RetireTimeUs(record);
    *token.mutable_revoke_time() = base::TimestampFromMicros(revoke_time_us);
  }
  if (IsFinal(state)) *token.mutable_end() = EndOf(record, cohort, cause);
  if (state == tollgate::v1::TOKEN_STATE_SUSPENDED) {
    if (record.suspend_time_us() != 0) {
      *token.mutable_suspend_time() = base::TimestampFromMicros(record.suspend_time_us());
    }
    token.set_suspended_by(record.suspended_by());
  }
  // A suspended token keeps its plan, and shows it, because time goes on for the plan.
  if (record.has_retirement() && IsLive(state)) {
    const auto& retirement = record.retirement();
    auto* plan = token.mutable_retire_plan();
    if (retirement.at_time_us() != 0) {
      *plan->mutable_at_time() = base::TimestampFromMicros(retirement.at_time_us());
    } else if (retirement.quiet_period_us() != 0) {
      *plan->mutable_when_silent() = base::DurationFromMicros(retirement.quiet_period_us());
    } else {
      plan->set_by_hand(true);
    }
  }
  if (!record.replaces_token_id().empty()) {
    token.set_replaces(FormatTokenName(record.workspace(), record.replaces_token_id()));
  }
  if (!record.replaced_by_token_id().empty()) {
    token.set_replaced_by(FormatTokenName(record.workspace(), record.replaced_by_token_id()));
  }
  // Nothing is due for a token that has ended, or that was rotated already.
  if (rotation_period > absl::ZeroDuration() && IsLive(state) && !record.has_retirement()) {
    const absl::Time due = absl::FromUnixMicros(record.create_time_us()) + rotation_period;
    if (due < absl::InfiniteFuture()) {
      *token.mutable_rotation_due_time() = base::TimestampFromMicros(absl::ToUnixMicros(due));
    }
  }
  return token;
}

}  // namespace tollgate::token
