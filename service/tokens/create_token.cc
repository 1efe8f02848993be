#include "service/tokens/create_token.h"

#include <utility>

#include "service/records/audit_changes.h"
#include "service/records/held_token.h"
#include "service/records/token_shape.h"
#include "service/records/unused_watch.h"
#include "service/workspaces/create_workspace.h"
#include "service/workspaces/policy_rules.h"
#include "storage/schema.h"
#include "text/label.h"

namespace tollgate::service {

using ::tollgate::store::v1::TokenRecord;
using ::tollgate::store::v1::WorkspaceRecord;

absl::StatusOr<std::shared_ptr<CreateTokenCommand>> CreateTokenCommand::Make(
    const tollgate::v1::CreateTokenRequest& request, absl::string_view actor, MintedToken minted) {
  ASSIGN_OR_RETURN(std::string workspace, token::ParseWorkspaceName(request.parent(), "parent"));
  const tollgate::v1::Token& token = request.token();
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  RETURN_IF_ERROR(CheckNoOutputFields(token));
  RETURN_IF_ERROR(text::CheckLabel(token.label(), "token.label"));
  RETURN_IF_ERROR(token::CheckScopes(token.scopes(), "token.scopes"));
  RETURN_IF_ERROR(token::CheckScopeStars(token.scopes(), /*held=*/{}, "token.scopes"));
  RETURN_IF_ERROR(token::CheckAudiences(token.audiences(), "token.audiences"));
  RETURN_IF_ERROR(token::CheckOwner(token.owner(), "token.owner"));
  RETURN_IF_ERROR(token::CheckAnnotations(token.annotations(), "token.annotations"));
  RETURN_IF_ERROR(CheckOperatorToken(workspace, token));
  if (token.has_expire_time()) {
    RETURN_IF_ERROR(TimeFromField(token.expire_time(), "token.expire_time").status());
    if (request.has_lifetime()) {
      return base::RefuseField("LIFETIME_AND_EXPIRE_TIME", "lifetime",
                               "and token.expire_time are both set; give one of them");
    }
  }
  if (request.has_lifetime()) {
    RETURN_IF_ERROR(LifetimeFromField(request.lifetime()).status());
  }
  Context context{"create_token", std::move(workspace), std::string(actor), request.request_id(),
                  RequestFingerprint(request)};
  return std::shared_ptr<CreateTokenCommand>(
      new CreateTokenCommand(std::move(context), request, std::move(minted)));
}

absl::Status CreateTokenCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                       storage::Effects& effects) {
  const tollgate::v1::Token& asked = request_.token();
  absl::StatusOr<WorkspaceRecord> owning =
      makes_none_ ? LoadWorkspace(view, workspace())
                  : LoadOrMakeWorkspace(view, workspace(), request_.create_workspace(), actor(),
                                        slot, effects);
  if (base::ReasonOf(owning.status()) == "WORKSPACE_NOT_FOUND") {
    // It is the state that refuses this: with create_workspace it would be done.
    return base::Refuse(absl::StatusCode::kFailedPrecondition, owning.status().message(),
                        base::DetailsOf(owning.status()));
  }
  RETURN_IF_ERROR(owning.status());
  HeldToken token;
  token.policy = owning->policy();

  RETURN_IF_ERROR(CheckRoom(view, token.policy, workspace()));
  RETURN_IF_ERROR(CheckLabelUnderPolicy(token.policy, asked.label(), "token.label"));
  RETURN_IF_ERROR(
      CheckScopesUnderPolicy(token.policy, asked.scopes(), /*held=*/{}, "token.scopes"));
  RETURN_IF_ERROR(CheckLabelFree(view, token.policy, workspace(), asked.label(), /*exempt=*/{},
                                 slot.now, "token.label"));

  absl::Time expire = absl::InfiniteFuture();
  if (token.policy.max_unused_us() != 0) {
    RETURN_IF_ERROR(
        RefuseInDoubt(slot, "when it has been unused for too long (policy.max_unused)"));
  }
  if (request_.has_lifetime()) {
    RETURN_IF_ERROR(RefuseInDoubt(slot, "a lifetime"));
    ASSIGN_OR_RETURN(const absl::Duration lifetime, LifetimeFromField(request_.lifetime()));
    expire = slot.now + lifetime;
    RETURN_IF_ERROR(CheckLifetimeUnderPolicy(token.policy, slot.now, expire, "lifetime"));
  } else if (asked.has_expire_time()) {
    ASSIGN_OR_RETURN(const int64_t expire_us, ExpireTimeMicros(asked, slot.now));
    expire = FromRecordMicros(expire_us);
    RETURN_IF_ERROR(CheckLifetimeUnderPolicy(token.policy, slot.now, expire, "token.expire_time"));
  } else if (token.policy.max_lifetime_us() != 0) {
    RETURN_IF_ERROR(RefuseInDoubt(slot, "the longest lifetime of the policy"));
    expire = slot.now + absl::Microseconds(token.policy.max_lifetime_us());
  }

  TokenRecord& record = token.record;
  record.set_workspace(workspace());
  record.set_token_id(minted_.public_id);
  record.set_kind(std::string(1, minted_.kind));
  record.set_label(asked.label());
  *record.mutable_scopes() = asked.scopes();
  *record.mutable_audiences() = asked.audiences();
  record.set_owner(asked.owner());
  record.set_creator(actor());
  *record.mutable_annotations() = asked.annotations();
  record.set_create_time_us(ToRecordMicros(slot.now));
  record.set_update_time_us(record.create_time_us());
  SetExpiry(expire, slot.now, &record);
  record.set_create_revision(slot.revision);
  record.set_create_index(slot.index);
  record.set_update_revision(slot.revision);
  record.set_stored_digest(std::string(minted_.stored_digest.bytes()));
  record.set_pepper_id(minted_.pepper_id);

  RETURN_IF_ERROR(CheckUnused(view, record));
  PutNew(record, effects);
  if (const int64_t unused_us = token.policy.max_unused_us(); unused_us != 0) {
    RETURN_IF_ERROR(PlaceUnusedWatch(view, storage::TokenKey(workspace(), record.token_id()),
                                     slot.now + absl::Microseconds(unused_us), effects));
  }
  auto entry = AuditOf(actor(), "token.create", record);
  NoteMade(record, &entry);
  effects.Audit(std::move(entry));

  ASSIGN_OR_RETURN(token.cohorts, LoadCohorts(view, workspace(), record.owner()));
  *response_.mutable_token() = ToResource(token, slot.now);
  response_.set_revision(slot.revision);
  return absl::OkStatus();
}

}  // namespace tollgate::service
