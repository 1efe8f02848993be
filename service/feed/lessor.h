// The ledger as one follower's session sees it.
#ifndef TOLLGATE_SERVICE_FEED_LESSOR_H_
#define TOLLGATE_SERVICE_FEED_LESSOR_H_

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate {

// One incarnation of one validator (R3).
struct SessionId {
  std::string validator_id;
  std::string incarnation;  // 16 bytes

  friend bool operator==(const SessionId&, const SessionId&) = default;
  friend auto operator<=>(const SessionId&, const SessionId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const SessionId& key) {
    return H::combine(std::move(h), key.validator_id, key.incarnation);
  }
};

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
  // Whether `caller`, as the transport knows it, may say Hello as this session: the first who does
  // is who may for ever. False, and nothing has changed: somebody else is. So nobody releases a
  // session, or acknowledges for it, who merely learned its id (R3, R4, R10).
  virtual bool MaySpeakFor(const SessionId& key, absl::string_view caller) = 0;
  // The session has applied everything up to `revision`, which it was sent or validly resumed at
  // (R10). `ping` carries evidence of last admissions.
  virtual void Acknowledge(const SessionId& key, int64_t revision,
                           const tollgate::v1::Ping& ping) = 0;
  // Asks for a lease for a Pong at `revision`, which is what the stream was sent (R8), after the
  // ping was read: the lessor reads the boot clock itself, inside its serial order (R1). A lease is
  // counted before the Pong is written.
  virtual LeaseAnswer GrantLease(const SessionId& key, int64_t revision) = 0;
};

}  // namespace tollgate

#endif  // TOLLGATE_SERVICE_FEED_LESSOR_H_
