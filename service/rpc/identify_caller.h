// Who calls, and whether he may: for unary calls and streams alike.
#ifndef TOLLGATE_SERVICE_RPC_IDENTIFY_CALLER_H_
#define TOLLGATE_SERVICE_RPC_IDENTIFY_CALLER_H_

#include <grpcpp/server_context.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/access/authenticator.h"
#include "service/access/permission.h"
#include "service/rpc/rpc_deps.h"

namespace tollgate::service {

// By the transport and the call's metadata. UNAUTHENTICATED: net::CallerOf's reasons, and
// Authenticator::Identify's. Call it while the RPC lives.
absl::StatusOr<Identity> IdentifyCaller(const RpcDeps& deps,
                                        const grpc::ServerContextBase& context);

// Whether he still is who he was, and may do that: Authenticator::StillStands, then
// Access::Authorize. Thread-safe, never blocks.
absl::Status MayCaller(const RpcDeps& deps, const Identity& caller, Permission permission,
                       absl::string_view resource);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_IDENTIFY_CALLER_H_
