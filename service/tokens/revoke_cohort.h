// Ends all tokens of a workspace, or of one owner in it, that were issued before.
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

// How many live tokens a cohort has, at a snapshot's revision and at a time.
struct CohortCount {
  int64_t tokens = 0;
  int64_t revision = 0;
  absl::Time time;
};

// Writes one watermark record and one event, whatever the number of tokens. A token that is created
// after it, even in the same batch, is not covered (R13). WORKSPACE_NOT_FOUND; COUNT_MISMATCH
// (FAILED_PRECONDITION, both numbers in the metadata) where expected_count is set and differs from
// the number of live tokens covered. That number is `counted` where no token has come or gone
// since; otherwise it is counted anew, but on the committer's thread at most 1000 tokens (R16): in
// a larger workspace the command is refused, COUNT_MOVED (ABORTED).
class RevokeCohortCommand : public ChangeTo<tollgate::v1::RevokeTokensResponse> {
 public:
  // INVALID_ARGUMENT for the request's shape. A request with validate_only is refused here; use
  // CountCohort. `counted` is CountLive's result for this request; without it, a count of a larger
  // workspace is always refused.
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

// How many live tokens the request would end now; for Make. Reads every token of the workspace, so
// it must run neither on a gRPC thread nor on the committer's. INVALID_ARGUMENT for the request's
// shape.
absl::StatusOr<CohortCount> CountLive(const storage::Snapshot& snapshot,
                                      const tollgate::v1::RevokeTokensRequest& request,
                                      absl::Time now);

// The answer to validate_only: how many live tokens the request would end, and which of them were
// used lately, latest first, at most 20. Reads every token of the workspace, so it must not run on
// a gRPC thread. INVALID_ARGUMENT for the request's shape, WORKSPACE_NOT_FOUND, COUNT_MISMATCH.
absl::StatusOr<tollgate::v1::RevokeTokensResponse> CountCohort(
    const storage::View& view, const tollgate::v1::RevokeTokensRequest& request, absl::Time now);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_TOKENS_REVOKE_COHORT_H_
