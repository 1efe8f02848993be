#include "service/tokens/cancel_rotation.h"

#include <utility>

#include "service/records/audit_changes.h"
#include "service/records/held_token.h"
#include "service/records/token_shape.h"
#include "service/tokens/rotation.h"
#include "storage/audit_index.h"

namespace tollgate::service {

absl::StatusOr<std::shared_ptr<CancelRotationCommand>> CancelRotationCommand::Make(
    const tollgate::v1::CancelRotationRequest& request, absl::string_view actor) {
  ASSIGN_OR_RETURN(token::TokenName name, token::ParseTokenName(request.name(), "name"));
  RETURN_IF_ERROR(RefuseByUse(name.workspace, "taking a rotation back"));
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  Context context{"cancel_rotation", std::move(name.workspace), std::string(actor),
                  request.request_id(), RequestFingerprint(request)};
  return std::shared_ptr<CancelRotationCommand>(
      new CancelRotationCommand(std::move(context), std::move(name.token_id)));
}

absl::Status CancelRotationCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                          storage::Effects& effects) {
  ASSIGN_OR_RETURN(HeldToken token, LoadToken(view, workspace(), token_id_));
  RETURN_IF_ERROR(RefuseFinal(token, slot.now));
  ASSIGN_OR_RETURN(HeldToken replacement, UnusedReplacement(view, token, slot.now));
  RETURN_IF_ERROR(RefuseGivenUpInUse(view, token, slot.now));
  const tollgate::store::v1::TokenRecord before = token.record;
  GiveUp(replacement, token, token_id_, slot, effects);
  ClearRetirePlan(&token.record, effects);
  token.record.clear_replaced_by_token_id();
  token.record.clear_given_up_token_ids();
  PutChanged(token, slot, /*tell=*/true, effects);
  auto entry = AuditOf(actor(), "token.cancel_rotation", token.record);
  (*entry.mutable_details())[storage::kGivenUp] = replacement.name();
  NoteChanges(before, token.record, &entry);
  effects.Audit(std::move(entry));
  *response_.mutable_token() = ToResource(token, slot.now);
  *response_.mutable_given_up() = ToResource(replacement, slot.now);
  response_.set_revision(slot.revision);
  return absl::OkStatus();
}

}  // namespace tollgate::service
