#include "service/tokens/suspend_token.h"

#include <utility>

#include "service/records/field_time.h"
#include "service/records/held_token.h"
#include "service/records/token_shape.h"

namespace tollgate::service {

absl::StatusOr<std::shared_ptr<SuspendTokenCommand>> SuspendTokenCommand::Make(
    const tollgate::v1::SuspendTokenRequest& request, absl::string_view actor) {
  ASSIGN_OR_RETURN(token::TokenName name, token::ParseTokenName(request.name(), "name"));
  RETURN_IF_ERROR(token::CheckReason(request.reason(), "reason"));
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  Context context{"suspend_token", std::move(name.workspace), std::string(actor),
                  request.request_id(), RequestFingerprint(request)};
  return std::shared_ptr<SuspendTokenCommand>(
      new SuspendTokenCommand(std::move(context), std::move(name.token_id), request.reason()));
}

absl::Status SuspendTokenCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                        storage::Effects& effects) {
  ASSIGN_OR_RETURN(HeldToken token, LoadToken(view, workspace(), token_id_));
  RETURN_IF_ERROR(RefuseFinal(token, slot.now));
  if (!token.record.suspended()) {
    token.record.set_suspended(true);
    token.record.set_suspend_time_us(ToRecordMicros(slot.now));
    token.record.set_suspended_by(actor());
    token.record.set_reason(reason_);
    PutChanged(token, slot, /*tell=*/true, effects);
    auto entry = AuditOf(actor(), "token.suspend", token.record);
    entry.set_reason(reason_);
    effects.Audit(std::move(entry));
  } else {
    AuditAgain(token, actor(), "token.suspend", reason_, slot, effects);
    response_.set_unchanged(true);
  }
  *response_.mutable_token() = ToResource(token, slot.now);
  response_.set_revision(token.record.update_revision());
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<ResumeTokenCommand>> ResumeTokenCommand::Make(
    const tollgate::v1::ResumeTokenRequest& request, absl::string_view actor) {
  ASSIGN_OR_RETURN(token::TokenName name, token::ParseTokenName(request.name(), "name"));
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  Context context{"resume_token", std::move(name.workspace), std::string(actor),
                  request.request_id(), RequestFingerprint(request)};
  return std::shared_ptr<ResumeTokenCommand>(
      new ResumeTokenCommand(std::move(context), std::move(name.token_id)));
}

absl::Status ResumeTokenCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                       storage::Effects& effects) {
  ASSIGN_OR_RETURN(HeldToken token, LoadToken(view, workspace(), token_id_));
  RETURN_IF_ERROR(RefuseFinal(token, slot.now));
  if (token.record.suspended()) {
    token.record.set_suspended(false);
    token.record.set_resume_time_us(ToRecordMicros(slot.now));
    token.record.clear_suspend_time_us();
    token.record.clear_suspended_by();
    token.record.clear_reason();
    PutChanged(token, slot, /*tell=*/true, effects);
    effects.Audit(AuditOf(actor(), "token.resume", token.record));
  } else {
    response_.set_unchanged(true);
  }
  *response_.mutable_token() = ToResource(token, slot.now);
  response_.set_revision(token.record.update_revision());
  return absl::OkStatus();
}

}  // namespace tollgate::service
