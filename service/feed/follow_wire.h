// The wire's end of one Follow call.
#ifndef TOLLGATE_SERVICE_FEED_FOLLOW_WIRE_H_
#define TOLLGATE_SERVICE_FEED_FOLLOW_WIRE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "base/clock.h"

namespace tollgate::service {

// The wire that carries a FollowerStream. Implemented by the reactor of service/rpc/edge_service.cc
// (net/reactor.h's BidiStream has these methods), and by the network of the simulation.
// Thread-safe; never called with a lock of the feed held.
class FollowWire {
 public:
  virtual ~FollowWire() = default;
  // There may be something to write: the wire calls FollowerStream::NextToWrite as soon as it is
  // free.
  virtual void WakeCall() = 0;
  // Ends the call after the write under way. May be called inside NextToWrite. The first status
  // wins.
  virtual void CloseCall(const absl::Status& status) = 0;
  // Ends the call at once, even where a write is stalled.
  virtual void AbortCall(const absl::Status& status) = 0;
  // Since when the write under way has waited for the client; unset: no write is under way.
  virtual absl::optional<base::BootTime> StalledSince() const = 0;
  // Where the client connects from, as the transport names it; for people.
  virtual std::string Address() const { return ""; }
  // The client's name as the transport knows it: a session is bound to this name, which also lies
  // in the roster, and bindings know it (service/access). Not empty.
  virtual std::string CallerName() const { return "local"; }
  // The public id of the operator token by which the client is known; empty: by none.
  virtual std::string OperatorTokenId() const { return ""; }
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_FOLLOW_WIRE_H_
