// The ledger's face towards one follower's session.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_LESSOR_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_LESSOR_H_

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lease/session_id.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {

// The outcome of asking for a lease: granted, or why the Pong carries none.
enum class LeaseOutcome {
  kGranted = 0,
  kUnknownSession,   // it never said Hello to this service
  kReleased,         // it said Goodbye (R4)
  kNotRostered,      // not yet durably in the roster (R15)
  kNoProgress,       // an event is unacknowledged for longer than A (R6)
  kBelowEnforced,    // the Pong's revision is below one declared enforced (R9)
  kLeaseNotDurable,  // the store does not yet allow a lease of this length (R5)
  kStoreSilent,      // no successful write within T (R16)
  kRolledBack,       // the store is older than what a validator has seen of it (R11)
  kTailGap,          // the store's tail skipped a revision, so no follower was told of it
};
// The lessor's answer to a session that asks for a lease.
struct LeaseAnswer {
  absl::Duration lease = absl::ZeroDuration();  // zero: none is granted
  LeaseOutcome outcome = LeaseOutcome::kGranted;
};

// What a session asks and tells. All calls are in one serial order (R9), whatever threads they come
// on.
class Lessor {
 public:
  virtual ~Lessor() = default;
  // Binds this session to `caller`, the client's name as the transport knows it, unless it is bound
  // already: the first caller that says Hello as a session owns it for ever. False, and nothing has
  // changed: the session is bound to another caller. So a caller that merely learned a session's id
  // can neither release it nor acknowledge for it (R3, R4, R10).
  virtual bool BindCaller(const lease::SessionId& key, absl::string_view caller) = 0;
  // The session has applied everything up to `revision`, which it was sent or at which it validly
  // resumed (R10). `ping` carries evidence of last admissions.
  virtual void Acknowledge(const lease::SessionId& key, int64_t revision,
                           const tollgate::v1::Ping& ping) = 0;
  // Asks for a lease, for a Pong at `revision`, up to which the stream was sent events (R8). Called
  // after the ping was read. The lessor reads the boot clock itself, inside its serial order (R1),
  // and counts the lease before the Pong is written.
  virtual LeaseAnswer GrantLease(const lease::SessionId& key, int64_t revision) = 0;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_LESSOR_H_
