#include "service/tokens/rotate_token.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "service/records/held_token.h"
#include "service/records/token_shape.h"
#include "service/workspaces/policy_rules.h"
#include "storage/schema.h"

namespace tollgate::service {

using ::tollgate::store::v1::Retirement;
using ::tollgate::store::v1::TokenRecord;
using ::tollgate::v1::RetirePlan;

namespace {

absl::StatusOr<absl::Duration> AfterOf(const RetirePlan& plan) {
  return DurationFromField(plan.after(), "retire_plan.after", kShortest, "RETIRE_AFTER_TOO_SHORT");
}

}  // namespace

absl::StatusOr<std::shared_ptr<RotateTokenCommand>> RotateTokenCommand::Make(
    const tollgate::v1::RotateTokenRequest& request, absl::string_view actor, MintedToken minted) {
  ASSIGN_OR_RETURN(token::TokenName name, token::ParseTokenName(request.name(), "name"));
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  const RetirePlan& plan = request.retire_plan();
  if (plan.has_at_time()) {
    RETURN_IF_ERROR(TimeFromField(plan.at_time(), "retire_plan.at_time").status());
  }
  if (plan.has_after()) {
    RETURN_IF_ERROR(AfterOf(plan).status());
  }
  if (plan.has_when_silent()) {
    RETURN_IF_ERROR(DurationFromField(plan.when_silent(), "retire_plan.when_silent", kShortest,
                                      "QUIET_PERIOD_TOO_SHORT")
                        .status());
  }
  if (request.has_lifetime()) {
    RETURN_IF_ERROR(LifetimeFromField(request.lifetime()).status());
  }
  Context context{"rotate_token", std::move(name.workspace), std::string(actor),
                  request.request_id(), RequestFingerprint(request)};
  return std::shared_ptr<RotateTokenCommand>(new RotateTokenCommand(
      std::move(context), std::move(name.token_id), request, std::move(minted)));
}

absl::Status RotateTokenCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                       storage::Effects& effects) {
  ASSIGN_OR_RETURN(HeldToken old, LoadToken(view, workspace(), token_id_));
  RETURN_IF_ERROR(RefuseFinal(old, slot.now));
  if (!old.record.replaced_by_token_id().empty()) {
    const std::string by = token::FormatTokenName(workspace(), old.record.replaced_by_token_id());
    base::ErrorDetails details;
    details.reason = "ALREADY_ROTATED";
    details.metadata = {{"token", old.name()}, {"replaced_by", by}};
    return base::Refuse(absl::StatusCode::kFailedPrecondition,
                        absl::StrCat(old.name(), " was rotated already and is replaced by ", by,
                                     "; rotate that one"),
                        details);
  }
  if (old.record.suspended()) {
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "TOKEN_SUSPENDED",
                        absl::StrCat(old.name(), " is suspended; resume it first, or revoke it"));
  }

  const absl::Duration longest = absl::Microseconds(old.policy.max_lifetime_us());
  absl::Time expire = absl::InfiniteFuture();
  if (old.policy.max_unused_us() != 0) {
    RETURN_IF_ERROR(
        RefuseInDoubt(slot, "when it has been unused for too long (policy.max_unused)"));
  }
  if (request_.has_lifetime()) {
    RETURN_IF_ERROR(RefuseInDoubt(slot, "a lifetime"));
    ASSIGN_OR_RETURN(const absl::Duration lifetime, LifetimeFromField(request_.lifetime()));
    expire = slot.now + lifetime;
    RETURN_IF_ERROR(CheckLifetimeUnderPolicy(old.policy, slot.now, expire, "lifetime"));
  } else {
    if (old.record.expire_time_us() != 0 || longest != absl::ZeroDuration()) {
      RETURN_IF_ERROR(RefuseInDoubt(slot, "the replacement's lifetime"));
    }
    if (old.record.expire_time_us() != 0) {
      expire =
          slot.now + absl::Microseconds(old.record.expire_time_us() - old.record.create_time_us());
    }
    if (longest != absl::ZeroDuration()) expire = std::min(expire, slot.now + longest);
    // A token may expire at the end of the year 9999; its replacement cannot expire later.
    if (expire < absl::InfiniteFuture()) expire = std::min(expire, base::LatestTimestamp());
  }

  const RetirePlan& plan = request_.retire_plan();
  const std::string old_key = storage::TokenKey(workspace(), token_id_);
  HeldToken made = old;
  // A plan without a replacement comes from a restore: the replacement was lost, the old token's
  // last moment was not. A new plan does not put that moment off.
  if (const int64_t last_us = old.record.retirement().at_time_us(); last_us != 0) {
    if (old.record.expire_time_us() == 0 || last_us < old.record.expire_time_us()) {
      old.record.set_expire_time_us(last_us);
      effects.PutRaw(storage::Table::kDue,
                     storage::DueKey(last_us, storage::DueKind::kExpire, old_key), "");
    }
    old.record.clear_retirement();
  }
  Retirement* retirement = old.record.mutable_retirement();
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
    retirement->set_at_time_us(ToRecordMicros(at));
    effects.PutRaw(storage::Table::kDue,
                   storage::DueKey(retirement->at_time_us(), storage::DueKind::kRetire, old_key),
                   "");
  } else if (plan.has_when_silent()) {
    ASSIGN_OR_RETURN(const absl::Duration quiet,
                     DurationFromField(plan.when_silent(), "retire_plan.when_silent", kShortest,
                                       "QUIET_PERIOD_TOO_SHORT"));
    retirement->set_quiet_period_us(absl::ToInt64Microseconds(quiet));
    effects.PutRaw(storage::Table::kDue,
                   storage::DueKey(0, storage::DueKind::kWatchSilent, old_key), "");
  } else {
    retirement->set_by_hand(true);
  }

  TokenRecord& record = made.record;
  record.clear_retirement();
  record.clear_reason();
  record.clear_resume_time_us();
  record.clear_suspend_time_us();
  record.clear_suspended_by();
  record.clear_expire_time_us();
  record.set_token_id(minted_.public_id);
  record.set_kind(std::string(1, minted_.kind));
  record.set_creator(actor());
  record.set_create_time_us(ToRecordMicros(slot.now));
  record.set_update_time_us(record.create_time_us());
  if (expire < absl::InfiniteFuture()) record.set_expire_time_us(ToRecordMicros(expire));
  record.set_replaces_token_id(token_id_);
  record.clear_replaced_by_token_id();
  record.set_create_revision(slot.revision);
  record.set_create_index(slot.index);
  record.set_update_revision(slot.revision);
  record.set_stored_digest(std::string(minted_.stored_digest.bytes()));
  record.set_pepper_id(minted_.pepper_id);
  record.set_max_unused_us(old.policy.max_unused_us());
  RETURN_IF_ERROR(CheckUnused(view, record));

  PutNew(record, effects);
  old.record.set_replaced_by_token_id(minted_.public_id);
  PutChanged(old, slot, /*tell=*/true, effects);
  auto entry = AuditOf(actor(), "token.rotate", old.record);
  (*entry.mutable_details())["replaced_by"] = made.name();
  effects.Audit(std::move(entry));

  *response_.mutable_token() = ToResource(made, slot.now);
  *response_.mutable_replaced() = ToResource(old, slot.now);
  response_.set_revision(slot.revision);
  return absl::OkStatus();
}

}  // namespace tollgate::service
