// Ends a rotated token, once it is safe to.
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

// Refused without `force`, in this order (FAILED_PRECONDITION; the message and the metadata name
// the edges): STILL_IN_USE, used at some edge within the quiet period; REPLACEMENT_NEVER_SEEN;
// EDGES_NOT_HEARD, some edge may have used it and has not said; RESUMED_LATELY, it was off within
// the quiet period, which tells nothing. Also TOKEN_NOT_FOUND, TOKEN_FINAL, NOT_ROTATED. Retiring a
// retired token answers its retirement.
class RetireTokenCommand : public ChangeTo<tollgate::v1::RetireTokenResponse> {
 public:
  // `evidence` is what the use ledger knows when the call is made. INVALID_ARGUMENT for the shape.
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
