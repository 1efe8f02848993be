#include "service/access/access.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "lease/caller_name.h"
#include "net/user_doors.h"

namespace tollgate::service {
namespace {

// Of what a request names, no more than people can read.
constexpr size_t kMostOfResource = 200;

class OpenAccess : public Access {
 public:
  using Access::Authorize;
  absl::Status Authorize(absl::string_view, Permission, absl::string_view) const override {
    return absl::OkStatus();
  }
  absl::optional<Binding> Find(absl::string_view caller, Permission,
                               absl::string_view) const override {
    Binding binding = built_in_.front();
    binding.member = std::string(caller);
    return binding;
  }
  const std::vector<Binding>& built_in() const override { return built_in_; }

 private:
  const std::vector<Binding> built_in_ = {{Role::kAdmin, "whoever calls", {}, true}};
};

absl::Status RefuseUnknown(Permission permission) {
  return base::Refuse(
      absl::StatusCode::kUnauthenticated, "UNAUTHENTICATED",
      absl::StrCat("refused ", PermissionName(permission),
                   ": the caller is not known. Present an operator token, or a client "
                   "certificate that carries exactly one SPIFFE id."));
}

std::string WayOut(absl::string_view caller, Permission permission) {
  if (permission == Permission::kFollowFeed) {
    const absl::string_view name = caller.substr(0, kMostOfResource);
    return absl::StrCat("A validator needs its role: tollgate access grant validator ", name,
                        ", or tollgated --validator ", name);
  }
  // Whoever is only known to be on this host has perhaps forgotten to say who he is.
  if (caller == lease::kLocalCaller) {
    return "Bring an operator token: tollgate --token-file FILE (the first start of a store that "
           "knows no admin leaves one beside it, in DIR.operator; is it lost, start the service "
           "with --admin local). Or an admin can give a role to whoever calls over the loopback: "
           "tollgate access grant";
  }
  return "An admin can give him a role that may: tollgate access grant";
}

absl::Status RefuseUnbound(absl::string_view caller, Permission permission,
                           absl::string_view resource) {
  base::ErrorDetails details;
  details.reason = "PERMISSION_DENIED";
  details.metadata = {{"permission", std::string(PermissionName(permission))},
                      {"member", std::string(caller.substr(0, kMostOfResource))}};
  const Place place = PlaceOf(permission, resource);
  std::string where;
  if (place.kind == Place::Kind::kWorkspace) {
    where = absl::StrCat(" in workspaces/", place.workspace);
  } else if (place.kind == Place::Kind::kService &&
             ScopeOf(permission) == PermissionScope::kWorkspace) {
    where = " everywhere";
  }
  return base::Refuse(
      absl::StatusCode::kPermissionDenied,
      absl::StrCat("refused: ", caller.substr(0, kMostOfResource), " may not ",
                   PermissionName(permission), where, ". ", WayOut(caller, permission)),
      details);
}

}  // namespace

std::string ActorOf(const net::Caller& caller) {
  return caller.id.empty() ? lease::kAnonymousCaller : caller.id;
}

std::unique_ptr<Access> NewOpenAccess() { return std::make_unique<OpenAccess>(); }

BoundAccess::BoundAccess(std::vector<Binding> built_in) : built_in_(std::move(built_in)) {
  Take({});
}

void BoundAccess::Take(std::vector<Binding> stored) {
  stored.insert(stored.end(), built_in_.begin(), built_in_.end());
  auto next = std::make_shared<const BindingSet>(std::move(stored));
  absl::MutexLock lock(&mu_);
  in_force_.swap(next);
}

absl::optional<Binding> BoundAccess::Find(absl::string_view caller, Permission permission,
                                          absl::string_view resource) const {
  const std::shared_ptr<const BindingSet> set = InForce();
  permission = AskedOf(permission, resource);
  const Binding* found = set->Find(caller, permission, PlaceOf(permission, resource));
  return found == nullptr ? absl::nullopt : absl::optional<Binding>(*found);
}

absl::Status BoundAccess::Authorize(absl::string_view caller, Permission permission,
                                    absl::string_view resource) const {
  if (caller == lease::kAnonymousCaller || caller == net::kUnknownUnixUser) {
    return RefuseUnknown(permission);
  }
  if (permission == Permission::kTestAccess) return absl::OkStatus();
  permission = AskedOf(permission, resource);
  const std::shared_ptr<const BindingSet> set = InForce();
  if (set->Find(caller, permission, PlaceOf(permission, resource)) != nullptr) {
    return absl::OkStatus();
  }
  return RefuseUnbound(caller, permission, resource);
}

}  // namespace tollgate::service
