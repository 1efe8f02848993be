// Turns a token off, and on again.
#ifndef TOLLGATE_SERVICE_TOKENS_SUSPEND_TOKEN_H_
#define TOLLGATE_SERVICE_TOKENS_SUSPEND_TOKEN_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/records/change.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate::service {

// Suspending a suspended token changes nothing, and returns the token as it is; another reason than
// the one that stands is kept in the audit log. TOKEN_NOT_FOUND, TOKEN_FINAL.
class SuspendTokenCommand : public ChangeTo<tollgate::v1::SuspendTokenResponse> {
 public:
  // INVALID_ARGUMENT for the shape.
  static absl::StatusOr<std::shared_ptr<SuspendTokenCommand>> Make(
      const tollgate::v1::SuspendTokenRequest& request, absl::string_view actor);

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  SuspendTokenCommand(Context context, std::string token_id, std::string reason)
      : ChangeTo(std::move(context)), token_id_(std::move(token_id)), reason_(std::move(reason)) {}

  const std::string token_id_;
  const std::string reason_;
};

// Resuming a token that is not suspended changes nothing, and returns the token as it is.
// TOKEN_NOT_FOUND, TOKEN_FINAL.
class ResumeTokenCommand : public ChangeTo<tollgate::v1::ResumeTokenResponse> {
 public:
  // INVALID_ARGUMENT for the shape.
  static absl::StatusOr<std::shared_ptr<ResumeTokenCommand>> Make(
      const tollgate::v1::ResumeTokenRequest& request, absl::string_view actor);

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  ResumeTokenCommand(Context context, std::string token_id)
      : ChangeTo(std::move(context)), token_id_(std::move(token_id)) {}

  const std::string token_id_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_TOKENS_SUSPEND_TOKEN_H_
