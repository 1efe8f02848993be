// Takes an empty workspace away.
#ifndef TOLLGATE_SERVICE_WORKSPACES_DELETE_WORKSPACE_H_
#define TOLLGATE_SERVICE_WORKSPACES_DELETE_WORKSPACE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/records/change.h"
#include "tollgate/v1/workspace_service.pb.h"

namespace tollgate::service {

// Empty is a workspace in which there is no token, alive or ended: with the record of an ended one
// its digest would be unknown (I7). A token that was purged has left its digest, and is none.
// Stays: the audit log; watermarks, which bear on nothing that is created after them; and the count
// of tokens, whose generation an owner's old count is compared with.
//
// WORKSPACE_NOT_FOUND; FAILED_PRECONDITION, WORKSPACE_NOT_EMPTY (`live_token_count` in the
// metadata); ABORTED, ETAG_MISMATCH.
class DeleteWorkspaceCommand : public ChangeTo<tollgate::v1::DeleteWorkspaceResponse> {
 public:
  // INVALID_ARGUMENT: BAD_RESOURCE_NAME.
  static absl::StatusOr<std::shared_ptr<DeleteWorkspaceCommand>> Make(
      const tollgate::v1::DeleteWorkspaceRequest& request, absl::string_view actor);

  // It takes the workspace out of bindings.
  bool ends_batch() const override { return true; }

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  DeleteWorkspaceCommand(Context context, std::string etag)
      : ChangeTo(std::move(context)), etag_(std::move(etag)) {}

  const std::string etag_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_WORKSPACES_DELETE_WORKSPACE_H_
