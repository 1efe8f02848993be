// The roles that come with how the service was started.
#ifndef TOLLGATE_SERVICE_BUILT_IN_BINDINGS_H_
#define TOLLGATE_SERVICE_BUILT_IN_BINDINGS_H_

#include <vector>

#include "service/access/binding_set.h"
#include "service/server_options.h"

namespace tollgate::service {

// The admins of these options, which have passed PartsOf. Asks the host's user database for the
// names of root and of the service's own user, so it may block.
std::vector<Binding> BuiltInBindings(const ServerOptions& options);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_BUILT_IN_BINDINGS_H_
