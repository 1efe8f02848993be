// Changes a token's fields: label, scopes, audiences, owner, annotations, expire_time.
#ifndef TOLLGATE_SERVICE_TOKENS_UPDATE_TOKEN_H_
#define TOLLGATE_SERVICE_TOKENS_UPDATE_TOKEN_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/records/change.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate::service {

// A new value must keep to the workspace's policy where it asks for more than was granted before.
// Validators are told only of the fields that one can notice: scopes, audiences, owner,
// expire_time.
//
// Refusals that depend on the state: TOKEN_NOT_FOUND, TOKEN_FINAL, OWNER_REVOKED (a cohort of the
// new owner would cover this token, and so revoke it), EXPIRE_TIME_PAST, and those of the policy,
// as in create_token.h.
class UpdateTokenCommand : public ChangeTo<tollgate::v1::UpdateTokenResponse> {
 public:
  // INVALID_ARGUMENT: MASK_REQUIRED, IMMUTABLE_FIELD, UNKNOWN_FIELD, and those of the fields named.
  static absl::StatusOr<std::shared_ptr<UpdateTokenCommand>> Make(
      const tollgate::v1::UpdateTokenRequest& request, absl::string_view actor);

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  UpdateTokenCommand(Context context, std::string token_id,
                     const tollgate::v1::UpdateTokenRequest& request)
      : ChangeTo(std::move(context)), token_id_(std::move(token_id)), request_(request) {}

  bool Sets(absl::string_view path) const;

  const std::string token_id_;
  const tollgate::v1::UpdateTokenRequest request_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_TOKENS_UPDATE_TOKEN_H_
