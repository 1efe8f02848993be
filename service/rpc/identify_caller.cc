#include "service/rpc/identify_caller.h"

#include "base/log.h"
#include "base/status.h"
#include "net/credentials.h"

namespace tollgate::service {

absl::StatusOr<Identity> IdentifyCaller(const RpcDeps& deps,
                                        const grpc::ServerContextBase& context) {
  ASSIGN_OR_RETURN(const net::Caller caller, net::CallerOf(context));
  absl::StatusOr<Identity> identity =
      deps.authenticator->Identify(caller, net::AuthorizationOf(context));
  if (!identity.ok()) {
    base::LogSummed(base::LogLevel::kWarning, "a caller's credentials were refused",
                    base::ReasonOf(identity.status()),
                    {{"origin", caller.origin}, {"reason", base::ReasonOf(identity.status())}});
  }
  return identity;
}

absl::Status MayCaller(const RpcDeps& deps, const Identity& caller, Permission permission,
                       absl::string_view resource) {
  RETURN_IF_ERROR(deps.authenticator->StillStands(caller.actor, caller.token_id));
  return deps.access->Authorize(caller.actor, permission, resource);
}

}  // namespace tollgate::service
