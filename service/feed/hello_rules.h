// What becomes of a follower by its Hello: whether that is well-formed, and whether its past is
// ours (R11, R19), which decides before anything else does. Pure functions: what a stream then does
// is its state's.
#ifndef TOLLGATE_SERVICE_FEED_HELLO_RULES_H_
#define TOLLGATE_SERVICE_FEED_HELLO_RULES_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "service/history/history.h"
#include "service/history/proof_maker.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {

// A follower that nobody has to mend anything for stays away for so long.
inline constexpr absl::Duration kComeBackLater = absl::Seconds(5);

// Whether each field is well-formed and bounded. INVALID_ARGUMENT, with the field.
absl::Status CheckHello(const tollgate::v1::Hello& hello);

struct HelloVerdict {
  enum class Kind {
    kReadFingerprint,  // decide again with the fingerprint of the proof's revision
    kMayResume,        // its past is a beginning of ours
    kReset,            // it has no past that it can go on from
    kForked,           // it proves that this epoch had another history: the store was put back, or
                       // is a copy
    kStranger,         // its past is not ours, and it cannot prove that it should be
  };
  Kind kind = Kind::kReset;
  absl::Status refusal;        // with kForked and kStranger
  absl::Duration retry_after;  // with them: not sooner
};

// Decides about a Hello that CheckHello let through. `proofs` tells whether a proof is sealed with
// our key; null: none is. `head` and `known` are as JudgeHello has them.
HelloVerdict DecideHello(const tollgate::v1::Hello& hello, const History& history,
                         const ProofMaker* proofs, int64_t head, const KnownFingerprint& known);

// A caller speaks for its own sessions only: PERMISSION_DENIED, SESSION_OF_ANOTHER.
absl::Status RefuseOtherCaller();

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_HELLO_RULES_H_
