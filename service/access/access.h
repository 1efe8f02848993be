// Who calls, and what they may. Every RPC asks here before it does anything, from the first day;
// roles come later, behind the same question.
#ifndef TOLLGATE_SERVICE_ACCESS_ACCESS_H_
#define TOLLGATE_SERVICE_ACCESS_ACCESS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "net/credentials.h"

namespace tollgate::service {

// What is written of a caller into the audit log and a token's `creator`: `local`, a SPIFFE id, or
// `anonymous`.
std::string ActorOf(const net::Caller& caller);

// What is asked for. One for each kind of access, so that a role can grant each alone.
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
  kUpdatePolicy,
  kReadOperations,  // events, audit, receipts
  kFollowFeed,      // Resolve and Follow
  kCreateBackup,
  kAcceptClock,
};
// "tokens.create", …: used in refusals, and in roles when they come.
absl::string_view PermissionName(Permission permission);

// Decides. Thread-safe, does no I/O, never blocks: it is asked on gRPC's threads.
class Access {
 public:
  virtual ~Access() = default;
  // OK, or PERMISSION_DENIED, or UNAUTHENTICATED for a caller about whom nothing is known; the
  // reason is the same word. `resource` is the name that the
  // request gives, unparsed and untrusted; empty where it names none.
  virtual absl::Status Authorize(const net::Caller& caller, Permission permission,
                                 absl::string_view resource) const = 0;
};

// Until roles exist: admits whoever is on this host or has shown a certificate, to everything.
// `admit_anonymous` admits plaintext callers from elsewhere too: what --allow-plaintext means.
std::unique_ptr<Access> NewTransportAccess(bool admit_anonymous);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_ACCESS_ACCESS_H_
