// What a server's options mean for its parts: the one translation, for the check and for the start.
#ifndef TOLLGATE_SERVICE_OPTION_PARTS_H_
#define TOLLGATE_SERVICE_OPTION_PARTS_H_

#include "service/feed/hub.h"
#include "service/server_options.h"
#include "service/store_home.h"

namespace tollgate::service {

// Where the store's files lie.
StoreHome::Options HomeOptionsOf(const ServerOptions& options);
// What the feed is told; what it works on, and whom it tells, is for the caller to fill in.
Hub::Options FeedOptionsOf(const ServerOptions& options);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_OPTION_PARTS_H_
