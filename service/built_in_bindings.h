// The roles that come with how the service was started.
#ifndef TOLLGATE_SERVICE_BUILT_IN_BINDINGS_H_
#define TOLLGATE_SERVICE_BUILT_IN_BINDINGS_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "service/access/binding_set.h"
#include "service/server_options.h"

namespace tollgate::service {

// The admins of these options, which have passed PartsOf. Asks the host's user database for the
// names of root and of the service's own user, so it may block.
std::vector<Binding> BuiltInBindings(const ServerOptions& options);

// Whether a caller of that member's kind can come at all, as a service of these options listens:
// `unix:NAME` where there is a Unix socket, `spiffe://…` where callers show certificates, `local`
// over TCP.
bool CanCome(const ServerOptions& options, absl::string_view member);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_BUILT_IN_BINDINGS_H_
