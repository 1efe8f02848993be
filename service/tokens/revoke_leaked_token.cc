#include "service/tokens/revoke_leaked_token.h"

#include <algorithm>

#include "service/records/held_token.h"
#include "service/records/token_shape.h"
#include "storage/schema.h"
#include "storage/tombstone.h"

namespace tollgate::service {

using ::tollgate::store::v1::DigestRecord;

absl::StatusOr<std::shared_ptr<RevokeLeakedTokenCommand>> RevokeLeakedTokenCommand::Make(
    LeakedToken leaked, absl::string_view actor) {
  RETURN_IF_ERROR(token::CheckReason(leaked.reason, "reason"));
  RETURN_IF_ERROR(token::CheckRequestId(leaked.request_id, "request_id"));
  if (leaked.candidates.empty()) {
    return base::RefuseField("LEAKED_REQUIRED", "leaked", "give a token string or its edge digest");
  }
  // A retry is recognised by the digest under the oldest pepper: newer peppers are added, and none
  // is removed while a retry may come. Nothing that is guarded less than a stored digest is ever
  // stored.
  const auto oldest =
      std::min_element(leaked.candidates.begin(), leaked.candidates.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
  tollgate::v1::RevokeLeakedTokenRequest shape;
  shape.set_edge_digest(std::string(oldest->second.bytes()));
  shape.set_reason(leaked.reason);
  Context context{"revoke_leaked_token", "", std::string(actor), leaked.request_id,
                  RequestFingerprint(shape)};
  return std::shared_ptr<RevokeLeakedTokenCommand>(
      new RevokeLeakedTokenCommand(std::move(context), std::move(leaked)));
}

absl::Status RevokeLeakedTokenCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                             storage::Effects& effects) {
  for (const auto& candidate : leaked_.candidates) {
    ASSIGN_OR_RETURN(
        const auto found,
        storage::GetRecord<DigestRecord>(view, storage::Table::kDigests, candidate.second.bytes()));
    if (!found.has_value()) continue;
    HeldToken token;
    if (found->has_tombstone()) {
      token.record = storage::RecordOfPurged(*found, candidate.second.bytes());
    } else {
      ASSIGN_OR_RETURN(token, LoadToken(view, found->workspace(), found->token_id()));
    }
    const Revocation done =
        Revoke(token, actor(), "token.revoke_leaked", leaked_.reason, slot, effects);
    response_.set_revision(done.revision);
    response_.set_unchanged(done.ended_before);
    *response_.mutable_token() = ToResource(token, slot.now);
    return absl::OkStatus();
  }
  return base::Refuse(absl::StatusCode::kNotFound, "TOKEN_UNKNOWN",
                      "no token of this installation has this token string or digest; nothing was "
                      "revoked");
}

}  // namespace tollgate::service
