// Ends a rotated token, once that is safe.
#ifndef TOLLGATE_SERVICE_TOKENS_RETIRE_TOKEN_H_
#define TOLLGATE_SERVICE_TOKENS_RETIRE_TOKEN_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/records/change.h"
#include "service/use/silence.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate::service {

// Refusals without `force`, in this order (FAILED_PRECONDITION; the message and the metadata name
// the edges): STILL_IN_USE, some edge used the token within the quiet period;
// REPLACEMENT_NEVER_SEEN; EDGES_NOT_HEARD, some edge may have used the token and has not reported;
// RESUMED_LATELY, the token was suspended within the quiet period, so its silence proves nothing.
// Also TOKEN_NOT_FOUND, TOKEN_FINAL, NOT_ROTATED. Retiring a retired token returns its retirement.
class RetireTokenCommand : public ChangeTo<tollgate::v1::RetireTokenResponse> {
 public:
  // `evidence` is what the use ledger knows at the call. INVALID_ARGUMENT for the request's shape.
  static absl::StatusOr<std::shared_ptr<RetireTokenCommand>> Make(
      const tollgate::v1::RetireTokenRequest& request, absl::string_view actor,
      SilenceEvidence evidence);

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  RetireTokenCommand(Context context, std::string token_id,
                     const tollgate::v1::RetireTokenRequest& request, SilenceEvidence evidence)
      : ChangeTo(std::move(context)),
        token_id_(std::move(token_id)),
        request_(request),
        evidence_(std::move(evidence)) {}

  const std::string token_id_;
  const tollgate::v1::RetireTokenRequest request_;
  const SilenceEvidence evidence_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_TOKENS_RETIRE_TOKEN_H_
