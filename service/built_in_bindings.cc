#include "service/built_in_bindings.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/types/optional.h"
#include "base/log.h"
#include "lease/caller_name.h"
#include "net/address.h"
#include "net/user_doors.h"

namespace tollgate::service {
namespace {

// The kernel's /proc/sys/kernel/overflowuid, which nobody changes: `nobody`.
constexpr uid_t kOverflowUser = 65534;

bool ListensOn(const ServerOptions& options, bool unix_socket) {
  return std::any_of(options.listen.begin(), options.listen.end(), [&](const std::string& text) {
    const absl::StatusOr<net::Address> address = net::ParseAddress(text);
    return address.ok() && address->is_unix() == unix_socket;
  });
}

Binding Given(Role role, std::string member) {
  Binding binding;
  binding.role = role;
  binding.member = std::move(member);
  binding.built_in = true;
  return binding;
}

}  // namespace

std::vector<Binding> BuiltInBindings(const ServerOptions& options) {
  std::vector<Binding> bindings;
  bindings.reserve(options.admin.size() + options.validator.size() + 2);
  for (const std::string& member : options.admin) {
    bindings.push_back(Given(Role::kAdmin, member));
  }
  for (const std::string& member : options.validator) {
    bindings.push_back(Given(Role::kValidator, member));
  }
  // Without a socket nobody comes as them, and whoever counts admins must not count them.
  if (ListensOn(options, /*unix_socket=*/true) && !options.no_host_admins) {
    const uid_t own = geteuid();
    std::vector<uid_t> users = {0};
    // In a user namespace every user who has no place in it seems to be that one.
    if (own != 0 && own != kOverflowUser) users.push_back(own);
    for (const uid_t user : users) {
      const absl::optional<std::string> name = net::NameOfUnixUser(user);
      if (!name.has_value()) {
        base::Log(
            base::LogLevel::kWarning,
            "the host's user database does not answer: this user is no admin by himself until "
            "the service starts again",
            {{"uid", static_cast<int64_t>(user)}});
        continue;
      }
      bindings.push_back(Given(Role::kAdmin, *name));
    }
  }
  return bindings;
}

bool CanCome(const ServerOptions& options, absl::string_view member) {
  if (absl::StartsWith(member, lease::kUnixUserPrefix)) return ListensOn(options, true);
  if (absl::StartsWith(member, "spiffe://")) return !options.client_ca.empty();
  return ListensOn(options, false);
}

}  // namespace tollgate::service
