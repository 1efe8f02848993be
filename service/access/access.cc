#include "service/access/access.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate::service {

absl::string_view PermissionName(Permission permission) {
  switch (permission) {
    case Permission::kCreateToken:
      return "tokens.create";
    case Permission::kReadTokens:
      return "tokens.read";
    case Permission::kUpdateToken:
      return "tokens.update";
    case Permission::kRotateToken:
      return "tokens.rotate";
    case Permission::kSuspendToken:
      return "tokens.suspend";
    case Permission::kRevokeToken:
      return "tokens.revoke";
    case Permission::kRevokeCohort:
      return "cohorts.revoke";
    case Permission::kRevokeLeaked:
      return "tokens.revokeLeaked";
    case Permission::kReadWorkspaces:
      return "workspaces.read";
    case Permission::kCreateWorkspace:
      return "workspaces.create";
    case Permission::kUpdateWorkspace:
      return "workspaces.update";
    case Permission::kDeleteWorkspace:
      return "workspaces.delete";
    case Permission::kUpdatePolicy:
      return "workspaces.updatePolicy";
    case Permission::kReadOperations:
      return "operations.read";
    case Permission::kFollowFeed:
      return "feed.follow";
    case Permission::kCreateBackup:
      return "backups.create";
    case Permission::kAcceptClock:
      return "clock.accept";
    case Permission::kForgetValidator:
      return "validators.forget";
  }
  return "unknown";
}

std::string ActorOf(const net::Caller& caller) {
  return caller.id.empty() ? "anonymous" : caller.id;
}

namespace {

class TransportAccess : public Access {
 public:
  explicit TransportAccess(bool admit_anonymous) : admit_anonymous_(admit_anonymous) {}

  absl::Status Authorize(const net::Caller& caller, Permission permission,
                         absl::string_view resource) const override {
    switch (caller.kind) {
      case net::Caller::Kind::kLocal:
      case net::Caller::Kind::kUnixUser:
        return absl::OkStatus();
      case net::Caller::Kind::kSpiffe:
        if (!caller.id.empty()) return absl::OkStatus();
        break;
      case net::Caller::Kind::kAnonymous:
        if (admit_anonymous_) return absl::OkStatus();
        break;
    }
    return base::Refuse(
        absl::StatusCode::kUnauthenticated, "UNAUTHENTICATED",
        absl::StrCat("refused ", PermissionName(permission),
                     ": the caller is not known. Call from the service's own host, or "
                     "with a client certificate that carries exactly one SPIFFE id."));
  }

 private:
  const bool admit_anonymous_;
};

}  // namespace

std::unique_ptr<Access> NewTransportAccess(bool admit_anonymous) {
  return std::make_unique<TransportAccess>(admit_anonymous);
}

}  // namespace tollgate::service
