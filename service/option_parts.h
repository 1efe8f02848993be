// Translates a server's options into the options of its parts, for the check and for the start
// alike.
#ifndef TOLLGATE_SERVICE_OPTION_PARTS_H_
#define TOLLGATE_SERVICE_OPTION_PARTS_H_

#include "service/feed/hub.h"
#include "service/server_options.h"
#include "service/store_home.h"

namespace tollgate::service {

// Where the store's files lie.
StoreHome::Options HomeOptionsOf(const ServerOptions& options);
// The feed's options. The caller fills in the objects that the feed works on, and the callbacks.
Hub::Options FeedOptionsOf(const ServerOptions& options);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_OPTION_PARTS_H_
