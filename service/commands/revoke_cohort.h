// Ends every token of a workspace, or of one owner in it, that was issued before.
#ifndef TOLLGATE_SERVICE_COMMANDS_REVOKE_COHORT_H_
#define TOLLGATE_SERVICE_COMMANDS_REVOKE_COHORT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/commands/change.h"
#include "storage/engine.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate {

// One watermark record and one event, whatever the number of tokens; what is created after it, in
// the same batch too, is not covered (R13). WORKSPACE_NOT_FOUND; COUNT_MISMATCH
// (FAILED_PRECONDITION, both numbers in the metadata) where expected_count is set and is not the
// number of live tokens covered.
class RevokeCohortCommand : public ChangeTo<tollgate::v1::RevokeTokensResponse> {
 public:
  // INVALID_ARGUMENT for the shape. A request with validate_only is for CountCohort, and refused
  // here.
  static absl::StatusOr<std::shared_ptr<RevokeCohortCommand>> Make(
      const tollgate::v1::RevokeTokensRequest& request, absl::string_view actor);

 protected:
  absl::Status Apply(const View& view, const Slot& slot, Effects& effects) override;

 private:
  RevokeCohortCommand(Context context, const tollgate::v1::RevokeTokensRequest& request)
      : ChangeTo(std::move(context)), request_(request) {}

  const tollgate::v1::RevokeTokensRequest request_;
};

// The answer to validate_only: how many live tokens it would end, and which of them were used
// lately, latest first, at most 20. Reads every token of the workspace: not for a gRPC thread.
// INVALID_ARGUMENT for the shape, WORKSPACE_NOT_FOUND, COUNT_MISMATCH.
absl::StatusOr<tollgate::v1::RevokeTokensResponse> CountCohort(
    const View& view, const tollgate::v1::RevokeTokensRequest& request, absl::Time now);

}  // namespace tollgate

#endif  // TOLLGATE_SERVICE_COMMANDS_REVOKE_COHORT_H_
