// tollgate events watch.
#ifndef TOLLGATE_CLI_COMMANDS_EVENTS_WATCH_H_
#define TOLLGATE_CLI_COMMANDS_EVENTS_WATCH_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "cli/context.h"
#include "tollgate/v1/event.pb.h"

namespace tollgate::cli {

// What is watched.
struct EventsWatched {
  std::string workspace;  // only its own; empty: all
  int64_t after = 0;      // begin after this revision; 0: with what happens next
  int64_t count = 0;      // end after so many revisions; 0: never
};

// Shows revisions as they happen, until Ctrl-C (OK) or until `count` of them were shown. A service
// that goes away is waited for, with a remark on stderr, and watched on from the last revision
// shown. Errors: the service cannot be reached at first, or refuses.
absl::Status WatchEvents(Context& context, const EventsWatched& watched);

// What happened in a revision, a line each: "184  2026-11-28 10:02:11 UTC  revoked  …". Other
// people's words in it are made safe.
std::string RevisionText(const tollgate::v1::RevisionEvents& revision);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_EVENTS_WATCH_H_
