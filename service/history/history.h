// What the service knows of its own past, and how what a validator claims agrees with it (R19).
#ifndef TOLLGATE_SERVICE_HISTORY_HISTORY_H_
#define TOLLGATE_SERVICE_HISTORY_HISTORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "storage/engine.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {

// The store's identity and its terms, as of the start of this process: only a start adds to them. A
// value.
struct History {
  std::string store_id;
  std::string epoch;
  std::vector<std::string> past_epochs;                // of the same store
  std::vector<tollgate::store::v1::TermRecord> terms;  // in order; the last is this process's

  // This process's term; empty where the store has none (tests of parts).
  std::string term() const { return terms.empty() ? std::string() : terms.back().term(); }
  // The term in which `revision` was committed; empty where it was before the first.
  absl::string_view TermOf(int64_t revision) const;
  bool HadEpoch(absl::string_view other) const;
  // Whether every process before this one is surely dead, or can no longer grant, by `now` of this
  // machine's boot clock (R16). This process must hold the store's lock on a file system of this
  // machine's own: then whoever served the store since this machine booted (as the terms' boot ids
  // tell) has let go of the lock. Whoever served it before, on another machine or boot, grants
  // nothing any more once it has been without the store for `longest` (its T).
  bool PredecessorsDead(base::BootTime now, absl::Duration longest) const;
};

// Reads the meta record and the terms. Errors: the view's; DATA_LOSS.
absl::StatusOr<History> ReadHistory(const storage::View& view);

// What is known of the fingerprint of one revision.
struct KnownFingerprint {
  enum class State {
    kNotAtHand,  // the store has to be read
    kNotKept,    // compacted with the events of its time
    kKept,
  };
  State state = State::kNotAtHand;
  std::string value;  // with kKept
};

// How the past that a Hello tells agrees with ours.
enum class Agreement {
  kSame,          // proven: what it has applied is a beginning of our history. It may resume
  kFresh,         // it tells of no past, or of none that it would go on from: reset
  kElsewhere,     // of another store, or of an earlier epoch of this one: reset
  kUnproven,      // of this epoch and not above the head, without a proof (an older validator), or
                  // with answers from revisions that are not ours: reset
  kUnknownEpoch,  // an epoch that this store never had: refused
  kUnprovenFuture,  // above the head, without a proof: refused, and nobody is stopped
  kContradiction,   // its proof is of another history of this epoch. Sealed with our key it is true
  kNeedsFingerprint,  // ask again with the fingerprint of the proof's revision
};

// Judges a Hello whose fields are well-formed. `head` is the newest revision; `known` is of
// hello.proof.revision, and is looked at only where that is of this epoch and not above the head. A
// contradiction is told whether or not the proof is sealed: a proof that agrees needs no seal, for
// it claims no more than what is so.
Agreement JudgeHello(const tollgate::v1::Hello& hello, const History& history, int64_t head,
                     const KnownFingerprint& known);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_HISTORY_HISTORY_H_
