// Who calls, and what they may do. Every RPC asks here before it does anything.
#ifndef TOLLGATE_SERVICE_ACCESS_ACCESS_H_
#define TOLLGATE_SERVICE_ACCESS_ACCESS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "net/credentials.h"
#include "service/access/binding_set.h"
#include "service/access/permission.h"

namespace tollgate::service {

// The caller's name as the transport alone tells it (Authenticator knows operator tokens, too), by
// which bindings, the audit log and a token's `creator` know him: `local`, `unix:NAME`, a SPIFFE
// id, or `anonymous`.
std::string ActorOf(const net::Caller& caller);

// Decides. Thread-safe, does no I/O, never blocks: gRPC's threads call it.
class Access {
 public:
  virtual ~Access() = default;
  // OK; or PERMISSION_DENIED; or UNAUTHENTICATED for a caller about whom nothing is known. The
  // reason is the same word. `resource` is the name that the request gives, unparsed and untrusted;
  // empty where the request names none. `workspaces/-` stands for all workspaces: it is for whoever
  // may do that in any of them, and each of them is asked about by its own name after it. What is
  // said of a workspace or a token does not depend on whether it is there.
  virtual absl::Status Authorize(absl::string_view caller, Permission permission,
                                 absl::string_view resource) const = 0;
  absl::Status Authorize(const net::Caller& caller, Permission permission,
                         absl::string_view resource) const {
    return Authorize(ActorOf(caller), permission, resource);
  }
  // By which binding a caller may do that: nullopt where none grants it.
  virtual absl::optional<Binding> Find(absl::string_view caller, Permission permission,
                                       absl::string_view resource) const = 0;
  // The bindings that the service was started with.
  virtual const std::vector<Binding>& built_in() const = 0;
};

// Everybody may do everything, whoever reaches the service (--dev-open).
std::unique_ptr<Access> NewOpenAccess();

// By the bindings of the store, and those that the service was started with.
class BoundAccess : public Access {
 public:
  // `built_in`: those that the service was started with.
  explicit BoundAccess(std::vector<Binding> built_in);

  // From now on these bindings of the store are in force, in place of the former ones. Whoever
  // calls Authorize after it has returned is judged by them. May be called at any time.
  void Take(std::vector<Binding> stored) ABSL_LOCKS_EXCLUDED(mu_);

  using Access::Authorize;
  absl::Status Authorize(absl::string_view caller, Permission permission,
                         absl::string_view resource) const override ABSL_LOCKS_EXCLUDED(mu_);

  absl::optional<Binding> Find(absl::string_view caller, Permission permission,
                               absl::string_view resource) const override ABSL_LOCKS_EXCLUDED(mu_);
  const std::vector<Binding>& built_in() const override { return built_in_; }

 private:
  std::shared_ptr<const BindingSet> InForce() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return in_force_;
  }

  const std::vector<Binding> built_in_;
  mutable absl::Mutex mu_;  // held over the exchange of the pointer alone
  std::shared_ptr<const BindingSet> in_force_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_ACCESS_ACCESS_H_
