#include "service/tokens/replan_rotation.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "service/records/audit_changes.h"
#include "service/records/held_token.h"
#include "service/records/token_shape.h"
#include "service/tokens/rotation.h"

namespace tollgate::service {

absl::StatusOr<std::shared_ptr<ReplanRotationCommand>> ReplanRotationCommand::Make(
    const tollgate::v1::ReplanRotationRequest& request, absl::string_view actor) {
  ASSIGN_OR_RETURN(token::TokenName name, token::ParseTokenName(request.name(), "name"));
  if (request.retire_plan().has_when_silent()) {
    RETURN_IF_ERROR(RefuseByUse(name.workspace, "retirement when a token falls silent"));
  }
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  RETURN_IF_ERROR(CheckRetirePlan(request.retire_plan()));
  Context context{"replan_rotation", std::move(name.workspace), std::string(actor),
                  request.request_id(), RequestFingerprint(request)};
  return std::shared_ptr<ReplanRotationCommand>(
      new ReplanRotationCommand(std::move(context), std::move(name.token_id), request));
}

absl::Status ReplanRotationCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                          storage::Effects& effects) {
  ASSIGN_OR_RETURN(HeldToken token, LoadToken(view, workspace(), token_id_));
  RETURN_IF_ERROR(RefuseFinal(token, slot.now));
  RETURN_IF_ERROR(RefuseNotRotated(token));
  if (token.record.retirement().unless_used_us() != 0) {
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "ALREADY_ROTATED",
                        absl::StrCat(token.name(),
                                     " was given up for another and goes by itself; revoke it to "
                                     "end it at once"));
  }
  const tollgate::store::v1::TokenRecord before = token.record;
  RETURN_IF_ERROR(PutRetirePlan(request_.retire_plan(), slot, &token.record, effects));
  PutChanged(token, slot, /*tell=*/true, effects);
  auto entry = AuditOf(actor(), "token.replan", token.record);
  NoteChanges(before, token.record, &entry);
  effects.Audit(std::move(entry));
  *response_.mutable_token() = ToResource(token, slot.now);
  response_.set_revision(slot.revision);
  return absl::OkStatus();
}

}  // namespace tollgate::service
