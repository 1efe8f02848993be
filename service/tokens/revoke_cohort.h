// Ends every token of a workspace, or of one owner in it, that was issued before.
#ifndef TOLLGATE_SERVICE_TOKENS_REVOKE_COHORT_H_
#define TOLLGATE_SERVICE_TOKENS_REVOKE_COHORT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "service/records/change.h"
#include "storage/engine.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate::service {

// How many live tokens a cohort had, at a snapshot's revision and at a time.
struct CohortCount {
  int64_t tokens = 0;
  int64_t revision = 0;
  absl::Time time;
};

// One watermark record and one event, whatever the number of tokens; what is created after it, in
// the same batch too, is not covered (R13). WORKSPACE_NOT_FOUND; COUNT_MISMATCH
// (FAILED_PRECONDITION, both numbers in the metadata) where expected_count is set and is not the
// number of live tokens covered. That number is `counted` where nothing has come or gone since;
// else it is counted anew, but on the committer's thread at most 1000 tokens (R16): in a larger
// workspace it is refused, COUNT_MOVED (ABORTED).
class RevokeCohortCommand : public ChangeTo<tollgate::v1::RevokeTokensResponse> {
 public:
  // INVALID_ARGUMENT for the shape. A request with validate_only is for CountCohort, and refused
  // here. `counted` is CountLive's for this request; without one a larger workspace's count is
  // always refused.
  static absl::StatusOr<std::shared_ptr<RevokeCohortCommand>> Make(
      const tollgate::v1::RevokeTokensRequest& request, absl::string_view actor,
      absl::optional<CohortCount> counted = absl::nullopt);

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  RevokeCohortCommand(Context context, const tollgate::v1::RevokeTokensRequest& request,
                      absl::optional<CohortCount> counted)
      : ChangeTo(std::move(context)), request_(request), counted_(counted) {}
  absl::StatusOr<int64_t> Count(const storage::View& view, absl::Time now) const;

  const tollgate::v1::RevokeTokensRequest request_;
  const absl::optional<CohortCount> counted_;
};

// How many live tokens the request would end now, for Make. Reads every token of the workspace: not
// for a gRPC thread, nor for the committer's. INVALID_ARGUMENT for the shape.
absl::StatusOr<CohortCount> CountLive(const storage::Snapshot& snapshot,
                                      const tollgate::v1::RevokeTokensRequest& request,
                                      absl::Time now);

// The answer to validate_only: how many live tokens it would end, and which of them were used
// lately, latest first, at most 20. Reads every token of the workspace: not for a gRPC thread.
// INVALID_ARGUMENT for the shape, WORKSPACE_NOT_FOUND, COUNT_MISMATCH.
absl::StatusOr<tollgate::v1::RevokeTokensResponse> CountCohort(
    const storage::View& view, const tollgate::v1::RevokeTokensRequest& request, absl::Time now);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_TOKENS_REVOKE_COHORT_H_
