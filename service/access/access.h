// Who calls, and what they may do. Every RPC asks here before it does anything. Roles come later,
// behind the same question.
#ifndef TOLLGATE_SERVICE_ACCESS_ACCESS_H_
#define TOLLGATE_SERVICE_ACCESS_ACCESS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "net/credentials.h"

namespace tollgate::service {

// The caller's name in the audit log and in a token's `creator`: `local`, `unix:NAME`, a SPIFFE id,
// or `anonymous`.
std::string ActorOf(const net::Caller& caller);

// The kinds of access, each apart, so that a role can grant each alone.
enum class Permission {
  kCreateToken,
  kReadTokens,
  kUpdateToken,
  kRotateToken,
  kSuspendToken,
  kRevokeToken,
  kRevokeCohort,
  kRevokeLeaked,
  kReadWorkspaces,
  kCreateWorkspace,  // the first one of a store comes with kCreateToken or kUpdatePolicy, too
  kUpdateWorkspace,
  kDeleteWorkspace,
  kUpdatePolicy,
  kReadOperations,  // events, audit, receipts
  kFollowFeed,      // Resolve and Follow
  kCreateBackup,
  kAcceptClock,
  kForgetValidator,
};
// "tokens.create", …: used in refusals, and in roles once they exist.
absl::string_view PermissionName(Permission permission);

// Decides. Thread-safe, does no I/O, never blocks: gRPC's threads call it.
class Access {
 public:
  virtual ~Access() = default;
  // OK; or PERMISSION_DENIED; or UNAUTHENTICATED for a caller about whom nothing is known. The
  // reason is the same word. `resource` is the name that the request gives, unparsed and untrusted;
  // empty where the request names none. `workspaces/-` stands for all workspaces: it is for whoever
  // may do that in any of them, and each of them is asked about by its own name after it.
  virtual absl::Status Authorize(const net::Caller& caller, Permission permission,
                                 absl::string_view resource) const = 0;
};

// The access rule until roles exist: a caller on this host, or with a certificate, may do
// everything. With `admit_anonymous`, so may plaintext callers from elsewhere (--allow-plaintext).
std::unique_ptr<Access> NewTransportAccess(bool admit_anonymous);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_ACCESS_ACCESS_H_
