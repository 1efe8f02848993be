#include "service/tokens/rotate_token.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/proto_time.h"
#include "google/protobuf/util/time_util.h"
#include "service/records/audit_changes.h"
#include "service/records/held_token.h"
#include "service/records/token_shape.h"
#include "service/records/unused_watch.h"
#include "service/tokens/rotation.h"
#include "service/workspaces/policy_rules.h"
#include "storage/audit_index.h"
#include "storage/schema.h"

namespace tollgate::service {

using ::tollgate::store::v1::TokenRecord;
using ::tollgate::v1::RetirePlan;

namespace {

constexpr int kMostGivenUp = 64;

}  // namespace

absl::StatusOr<std::shared_ptr<RotateTokenCommand>> RotateTokenCommand::Make(
    const tollgate::v1::RotateTokenRequest& request, absl::string_view actor, MintedToken minted) {
  ASSIGN_OR_RETURN(token::TokenName name, token::ParseTokenName(request.name(), "name"));
  if (request.retire_plan().has_when_silent()) {
    RETURN_IF_ERROR(RefuseByUse(name.workspace, "retirement when a token falls silent"));
  }
  if (request.again()) RETURN_IF_ERROR(RefuseByUse(name.workspace, "rotating again"));
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  RETURN_IF_ERROR(CheckRetirePlan(request.retire_plan()));
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
  absl::optional<HeldToken> given_up;
  if (request_.again()) {
    ASSIGN_OR_RETURN(given_up, UnusedReplacement(view, old, slot.now));
  } else if (!old.record.replaced_by_token_id().empty()) {
    return RefuseReplaced(old);
  }
  if (old.record.suspended()) {
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "TOKEN_SUSPENDED",
                        absl::StrCat(old.name(), " is suspended; resume it first, or revoke it"));
  }

  // The replacement is a new token: what a policy lets be granted no more is not carried on.
  RETURN_IF_ERROR(CheckReplacementLabel(old.policy, old.record.label()));
  const google::protobuf::RepeatedPtrField<std::string> scopes =
      GrantableScopes(old.policy, old.record.scopes());
  if (scopes.size() < old.record.scopes_size() && !request_.drop_ungrantable_scopes()) {
    return WithRemedy(
        CheckScopesUnderPolicy(old.policy, old.record.scopes(), /*held=*/{}, "token.scopes"),
        "a replacement is a new token: rotate without what may not be granted "
        "(drop_ungrantable_scopes), or change the policy");
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
    // Done again, it gives what it gave: the old token's end may have been moved by its plan since.
    const TokenRecord& as = given_up.has_value() ? given_up->record : old.record;
    if (as.expire_time_us() != 0 || longest != absl::ZeroDuration()) {
      RETURN_IF_ERROR(RefuseInDoubt(slot, "the replacement's lifetime"));
    }
    if (as.expire_time_us() != 0) {
      // As it was last given. From its creation to its end is longer, where the end was moved.
      const absl::Duration given =
          as.lifetime_us() != 0
              ? absl::Microseconds(as.lifetime_us())
              : absl::Microseconds(as.expire_time_us()) - absl::Microseconds(as.create_time_us());
      expire = slot.now + given;
    }
    if (longest != absl::ZeroDuration()) expire = std::min(expire, slot.now + longest);
    // A token may expire at the end of the year 9999; its replacement cannot expire later.
    if (expire < absl::InfiniteFuture()) expire = std::min(expire, base::LatestTimestamp());
  }

  const RetirePlan& plan = request_.retire_plan();
  const TokenRecord before = old.record;
  const std::string old_key = storage::TokenKey(workspace(), token_id_);
  HeldToken made = old;
  // A plan without a replacement comes from a restore: the replacement was lost, the old token's
  // last moment was not. A new plan does not put that moment off.
  if (const int64_t last_us = old.record.retirement().at_time_us();
      last_us != 0 && !request_.again()) {
    if (old.record.expire_time_us() == 0 || last_us < old.record.expire_time_us()) {
      old.record.set_expire_time_us(last_us);
      effects.PutRaw(storage::Table::kDue,
                     storage::DueKey(last_us, storage::DueKind::kExpire, old_key), "");
    }
    old.record.clear_retirement();
  }
  if (!request_.again() || plan.when_case() != RetirePlan::WHEN_NOT_SET) {
    RETURN_IF_ERROR(PutRetirePlan(plan, slot, &old.record, effects));
  }

  TokenRecord& record = made.record;
  record.clear_retirement();
  record.clear_reason();
  record.clear_resume_time_us();
  record.clear_suspend_time_us();
  record.clear_suspended_by();
  record.clear_max_unused_us();
  *record.mutable_scopes() = scopes;
  record.set_token_id(minted_.public_id);
  record.set_kind(std::string(1, minted_.kind));
  record.set_creator(actor());
  record.set_create_time_us(ToRecordMicros(slot.now));
  record.set_update_time_us(record.create_time_us());
  SetExpiry(expire, slot.now, &record);
  record.set_replaces_token_id(token_id_);
  record.clear_replaced_by_token_id();
  record.clear_given_up_token_ids();
  record.set_create_revision(slot.revision);
  record.set_create_index(slot.index);
  record.set_update_revision(slot.revision);
  record.set_stored_digest(std::string(minted_.stored_digest.bytes()));
  record.set_pepper_id(minted_.pepper_id);
  RETURN_IF_ERROR(CheckUnused(view, record));

  PutNew(record, effects);
  if (const int64_t unused_us = old.policy.max_unused_us(); unused_us != 0) {
    RETURN_IF_ERROR(PlaceUnusedWatch(view, storage::TokenKey(workspace(), record.token_id()),
                                     slot.now + absl::Microseconds(unused_us), effects));
  }
  auto entry = AuditOf(actor(), "token.rotate", old.record);
  (*entry.mutable_details())[storage::kReplacedBy] = made.name();
  if (scopes.size() < old.record.scopes_size()) {
    (*entry.mutable_details())["scopes"] = absl::StrJoin(scopes, ",");
  }
  if (record.expire_time_us() != 0) {
    (*entry.mutable_details())["replacement_expire_time"] =
        google::protobuf::util::TimeUtil::ToString(
            base::TimestampFromMicros(record.expire_time_us()));
  }
  NoteChanges(before, old.record, &entry);
  if (given_up.has_value()) {
    (*entry.mutable_details())[storage::kGivenUp] = given_up->name();
    GiveUp(*given_up, old, minted_.public_id, slot, effects);
    old.record.add_given_up_token_ids(given_up->record.token_id());
    const int over = old.record.given_up_token_ids_size() - kMostGivenUp;
    if (over > 0) old.record.mutable_given_up_token_ids()->DeleteSubrange(0, over);
    *response_.mutable_given_up() = ToResource(*given_up, slot.now);
  }
  old.record.set_replaced_by_token_id(minted_.public_id);
  PutChanged(old, slot, /*tell=*/true, effects);
  effects.Audit(std::move(entry));

  *response_.mutable_token() = ToResource(made, slot.now);
  *response_.mutable_replaced() = ToResource(old, slot.now);
  response_.set_revision(slot.revision);
  return absl::OkStatus();
}

}  // namespace tollgate::service
