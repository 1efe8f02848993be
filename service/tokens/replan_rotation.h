// Changes how a rotated token is to be retired.
#ifndef TOLLGATE_SERVICE_TOKENS_REPLAN_ROTATION_H_
#define TOLLGATE_SERVICE_TOKENS_REPLAN_ROTATION_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/records/change.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate::service {

// Whether the replacement is in use or not. TOKEN_NOT_FOUND, TOKEN_FINAL, NOT_ROTATED,
// ALREADY_ROTATED (a replacement that was given up has its plan), RETIRE_TIME_PAST, CLOCK_IN_DOUBT.
class ReplanRotationCommand : public ChangeTo<tollgate::v1::ReplanRotationResponse> {
 public:
  // INVALID_ARGUMENT for the shape.
  static absl::StatusOr<std::shared_ptr<ReplanRotationCommand>> Make(
      const tollgate::v1::ReplanRotationRequest& request, absl::string_view actor);

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  ReplanRotationCommand(Context context, std::string token_id,
                        const tollgate::v1::ReplanRotationRequest& request)
      : ChangeTo(std::move(context)), token_id_(std::move(token_id)), request_(request) {}

  const std::string token_id_;
  const tollgate::v1::ReplanRotationRequest request_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_TOKENS_REPLAN_ROTATION_H_
