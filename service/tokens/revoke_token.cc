#include "service/tokens/revoke_token.h"

#include <utility>

#include "service/records/held_token.h"
#include "service/records/token_shape.h"

namespace tollgate::service {

absl::StatusOr<std::shared_ptr<RevokeTokenCommand>> RevokeTokenCommand::Make(
    const tollgate::v1::RevokeTokenRequest& request, absl::string_view actor) {
  ASSIGN_OR_RETURN(token::TokenName name, token::ParseTokenName(request.name(), "name"));
  RETURN_IF_ERROR(token::CheckReason(request.reason(), "reason"));
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  Context context{"revoke_token", std::move(name.workspace), std::string(actor),
                  request.request_id(), RequestFingerprint(request)};
  return std::shared_ptr<RevokeTokenCommand>(
      new RevokeTokenCommand(std::move(context), std::move(name.token_id), request.reason()));
}

absl::Status RevokeTokenCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                       storage::Effects& effects) {
  ASSIGN_OR_RETURN(HeldToken token, LoadToken(view, workspace(), token_id_));
  const Revocation done = Revoke(token, actor(), "token.revoke", reason_, slot, effects);
  response_.set_revision(done.revision);
  response_.set_unchanged(done.ended_before);
  *response_.mutable_token() = ToResource(token, slot.now);
  return absl::OkStatus();
}

}  // namespace tollgate::service
