// Takes a rotation back whose replacement nobody has used.
#ifndef TOLLGATE_SERVICE_TOKENS_CANCEL_ROTATION_H_
#define TOLLGATE_SERVICE_TOKENS_CANCEL_ROTATION_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/records/change.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate::service {

// The old token has neither plan nor replacement afterwards; the replacement is given up
// (rotation.h). TOKEN_NOT_FOUND, TOKEN_FINAL, NOT_ROTATED, ALREADY_ROTATED (the replacement was
// rotated in its turn), REPLACEMENT_IN_USE.
class CancelRotationCommand : public ChangeTo<tollgate::v1::CancelRotationResponse> {
 public:
  // INVALID_ARGUMENT for the shape.
  static absl::StatusOr<std::shared_ptr<CancelRotationCommand>> Make(
      const tollgate::v1::CancelRotationRequest& request, absl::string_view actor);

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  CancelRotationCommand(Context context, std::string token_id)
      : ChangeTo(std::move(context)), token_id_(std::move(token_id)) {}

  const std::string token_id_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_TOKENS_CANCEL_ROTATION_H_
