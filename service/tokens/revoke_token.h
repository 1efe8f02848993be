// Ends a token for good.
#ifndef TOLLGATE_SERVICE_TOKENS_REVOKE_TOKEN_H_
#define TOLLGATE_SERVICE_TOKENS_REVOKE_TOKEN_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/records/change.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate::service {

// For a token that has ended already the answer is its end, with that revision, and nothing is
// written (but the request_id's record, and another reason than the first, in the audit log). A
// token whose time has run out, though no sweep has committed that yet, is ended as expired: final
// is final. TOKEN_NOT_FOUND.
class RevokeTokenCommand : public ChangeTo<tollgate::v1::RevokeTokenResponse> {
 public:
  // INVALID_ARGUMENT for the shape.
  static absl::StatusOr<std::shared_ptr<RevokeTokenCommand>> Make(
      const tollgate::v1::RevokeTokenRequest& request, absl::string_view actor);

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  RevokeTokenCommand(Context context, std::string token_id, std::string reason)
      : ChangeTo(std::move(context)), token_id_(std::move(token_id)), reason_(std::move(reason)) {}

  const std::string token_id_;
  const std::string reason_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_TOKENS_REVOKE_TOKEN_H_
