// The read side: pure functions of a view. They scan, so they must not run on a gRPC thread.
#ifndef TOLLGATE_SERVICE_READS_READ_TOKENS_H_
#define TOLLGATE_SERVICE_READS_READ_TOKENS_H_

#include <functional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "storage/engine.h"
#include "tollgate/v1/token.pb.h"
#include "tollgate/v1/token_service.pb.h"
#include "tollgate/v1/workspace_service.pb.h"

namespace tollgate::service {

// A token with its use by edge, and when a dead one was last tried. BAD_RESOURCE_NAME,
// TOKEN_NOT_FOUND.
absl::StatusOr<tollgate::v1::Token> ReadToken(const storage::View& view,
                                              const tollgate::v1::GetTokenRequest& request,
                                              absl::Time now);

// The attempts on a token that edges refused, latest first. BAD_RESOURCE_NAME, TOKEN_NOT_FOUND.
absl::StatusOr<tollgate::v1::ListTokenAttemptsResponse> ReadTokenAttempts(
    const storage::View& view, const tollgate::v1::ListTokenAttemptsRequest& request,
    absl::Time now);

// Whether the tokens of a workspace (its full name) may be read; asked in a read of all workspaces.
using MayReadWorkspace = std::function<bool(absl::string_view name)>;

// A page of a workspace's tokens, in order of their ids; for `workspaces/-` of those of all
// workspaces that `may_read` lets through, in order of workspace and id. BAD_RESOURCE_NAME,
// WORKSPACE_NOT_FOUND, PAGE_SIZE_NEGATIVE, PAGE_TOKEN_MALFORMED, PAGE_TOKEN_MISMATCH (of another
// workspace or filter), LABEL_INVISIBLE.
absl::StatusOr<tollgate::v1::ListTokensResponse> ReadTokenList(
    const storage::View& view, const tollgate::v1::ListTokensRequest& request, absl::Time now,
    const MayReadWorkspace& may_read);

// BAD_RESOURCE_NAME, WORKSPACE_NOT_FOUND.
absl::StatusOr<tollgate::v1::Workspace> ReadWorkspace(
    const storage::View& view, const tollgate::v1::GetWorkspaceRequest& request);

// A page of the workspaces that `may_read` lets through, in order of their names. Page errors as
// above.
absl::StatusOr<tollgate::v1::ListWorkspacesResponse> ReadWorkspaceList(
    const storage::View& view, const tollgate::v1::ListWorkspacesRequest& request,
    const MayReadWorkspace& may_read);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_READS_READ_TOKENS_H_
