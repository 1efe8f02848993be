// Makes a replacement; the old token becomes RETIRING.
#ifndef TOLLGATE_SERVICE_TOKENS_ROTATE_TOKEN_H_
#define TOLLGATE_SERVICE_TOKENS_ROTATE_TOKEN_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/records/change.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate::service {

// The replacement has the old token's label, scopes, audiences, owner and annotations. What was
// granted stays granted, so of the policy only the lifetime is judged again. Where the request asks
// for no lifetime, the replacement gets the old token's, at most the policy's longest, and at most
// to the year 9999. Tells token_created and token_changed.
//
// With `again`, of a token that was rotated already: another replacement takes the place of the one
// that nobody has used, which is given up (rotation.h).
//
// Refusals that depend on the state: TOKEN_NOT_FOUND, TOKEN_FINAL, TOKEN_SUSPENDED, ALREADY_ROTATED
// (names the replacement), LIFETIME_TOO_LONG, RETIRE_TIME_PAST; with `again` NOT_ROTATED,
// REPLACEMENT_IN_USE.
class RotateTokenCommand : public ChangeTo<tollgate::v1::RotateTokenResponse> {
 public:
  // INVALID_ARGUMENT: BAD_RESOURCE_NAME, LIFETIME_NOT_POSITIVE, QUIET_PERIOD_TOO_SHORT (below 1 s),
  // …
  static absl::StatusOr<std::shared_ptr<RotateTokenCommand>> Make(
      const tollgate::v1::RotateTokenRequest& request, absl::string_view actor, MintedToken minted);

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;
  void OnReplay() override { response_.set_secret_withheld(true); }

 private:
  RotateTokenCommand(Context context, std::string token_id,
                     const tollgate::v1::RotateTokenRequest& request, MintedToken minted)
      : ChangeTo(std::move(context)),
        token_id_(std::move(token_id)),
        request_(request),
        minted_(std::move(minted)) {}

  const std::string token_id_;
  const tollgate::v1::RotateTokenRequest request_;
  const MintedToken minted_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_TOKENS_ROTATE_TOKEN_H_
