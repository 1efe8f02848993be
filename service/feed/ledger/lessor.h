// The ledger as one follower's session sees it.
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

// What came of asking for a lease: granted, or why a Pong carries none.
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
  kTailGap,          // the store's tail skipped a revision, which nobody was told of
};
// The lessor's answer to a session that asks for a lease.
struct LeaseAnswer {
  absl::Duration lease = absl::ZeroDuration();  // zero: none is granted
  LeaseOutcome outcome = LeaseOutcome::kGranted;
};

// What a session asks and tells. Calls are in one serial order (R9), whatever the threads.
class Lessor {
 public:
  virtual ~Lessor() = default;
  // Binds this session to `caller`, as the transport knows it, unless it is bound: the first who
  // says Hello as the session is who may for ever. False, and nothing has changed: it is bound to
  // somebody else. So nobody releases a session, or acknowledges for it, who merely learned its id
  // (R3, R4, R10).
  virtual bool BindCaller(const lease::SessionId& key, absl::string_view caller) = 0;
  // The session has applied everything up to `revision`, which it was sent or validly resumed at
  // (R10). `ping` carries evidence of last admissions.
  virtual void Acknowledge(const lease::SessionId& key, int64_t revision,
                           const tollgate::v1::Ping& ping) = 0;
  // Asks for a lease for a Pong at `revision`, which is what the stream was sent (R8), after the
  // ping was read: the lessor reads the boot clock itself, inside its serial order (R1). A lease is
  // counted before the Pong is written.
  virtual LeaseAnswer GrantLease(const lease::SessionId& key, int64_t revision) = 0;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_LESSOR_H_
