// Ends all tokens of a workspace, or of one owner in it, that were issued before.
#ifndef TOLLGATE_SERVICE_TOKENS_REVOKE_COHORT_H_
#define TOLLGATE_SERVICE_TOKENS_REVOKE_COHORT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "service/records/change.h"
#include "storage/engine.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate::service {

// Writes one watermark record and one event, whatever the number of tokens. A token that is created
// after it, even in the same batch, is not covered (R13). Answers how many live tokens it ended:
// they are counted with every commit (storage/live_count.h), so it reads none of them (R16).
// WORKSPACE_NOT_FOUND; COUNT_MISMATCH (FAILED_PRECONDITION, both numbers in the metadata) where
// expected_count is set and is another number; NOTHING_TO_REVOKE (FAILED_PRECONDITION) where there
// are none, and neither expected_count nor allow_empty says that this is known.
class RevokeCohortCommand : public ChangeTo<tollgate::v1::RevokeTokensResponse> {
 public:
  // INVALID_ARGUMENT for the request's shape. A request with validate_only is refused here; use
  // CountCohort.
  static absl::StatusOr<std::shared_ptr<RevokeCohortCommand>> Make(
      const tollgate::v1::RevokeTokensRequest& request, absl::string_view actor);

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  RevokeCohortCommand(Context context, const tollgate::v1::RevokeTokensRequest& request)
      : ChangeTo(std::move(context)), request_(request) {}

  const tollgate::v1::RevokeTokensRequest request_;
};

// The answer to validate_only: how many live tokens the request would end, and which of them were
// used lately, latest first, at most 20. Reads every token of the workspace, so it must not run on
// a gRPC thread. With a request_id under which `actor` has made the request already: the first
// answer. INVALID_ARGUMENT for the request's shape; else as RevokeCohortCommand.
absl::StatusOr<tollgate::v1::RevokeTokensResponse> CountCohort(
    const storage::View& view, const tollgate::v1::RevokeTokensRequest& request,
    absl::string_view actor, absl::Time now);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_TOKENS_REVOKE_COHORT_H_
