// Receives from the feed what validators report of use, and of the attempts that they refused.
#ifndef TOLLGATE_SERVICE_USE_USE_SINK_H_
#define TOLLGATE_SERVICE_USE_USE_SINK_H_

#include "absl/strings/string_view.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {

// Is told of use, and of the sessions that exist to report it. Thread-safe; each call is quick and
// never calls back into the hub. For one session SessionLive and SessionEnded alternate, in order;
// SessionLive may come again after SessionEnded. A Report may come from a session that is not live:
// before its first grant, or when it comes back after its lease had run out.
class UseSink {
 public:
  virtual ~UseSink() = default;
  // What a session admitted, and which known tokens it refused, since its last report. A session is
  // one incarnation (R3): one id may have several at once.
  virtual void Report(absl::string_view validator_id, absl::string_view incarnation,
                      const tollgate::v1::Usage& usage) = 0;
  // From now on this session may admit. Called before its first grant, and, at a start, for every
  // session in the roster (R15) before Hub::Start returns. Until it reports, its use is unknown,
  // not nought. Repeated calls for a live session change nothing.
  virtual void SessionLive(absl::string_view validator_id, absl::string_view incarnation) = 0;
  // The session admits no more: it said goodbye, or its lease (and its fail-open time) has run out.
  // What it admitted after its last complete report stays unknown, unless it `said_goodbye` after a
  // complete last report.
  virtual void SessionEnded(absl::string_view validator_id, absl::string_view incarnation,
                            bool said_goodbye) = 0;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_USE_USE_SINK_H_
