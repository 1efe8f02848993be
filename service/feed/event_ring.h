// The newest revisions that have events, each serialised once and shared by all streams.
#ifndef TOLLGATE_SERVICE_FEED_EVENT_RING_H_
#define TOLLGATE_SERVICE_FEED_EVENT_RING_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "service/history/proof_maker.h"
#include "storage/engine.h"
#include "tollgate/v1/event.pb.h"

namespace tollgate::service {

// Bytes that many streams send.
using SharedBytes = std::shared_ptr<const std::string>;

// One revision that has events, ready for the wire. Immutable.
struct FeedRevision {
  int64_t revision = 0;
  // Serialised FollowResponse messages, each with an Events of one RevisionEvents. A revision too
  // large for one message has several parts; all but the last are `partial` (R8). Serialised
  // messages may be laid end to end: they then parse as one message with all the revisions.
  std::vector<SharedBytes> parts;
  // The sum of the parts.
  size_t bytes = 0;
};
using SharedRevision = std::shared_ptr<const FeedRevision>;

// Serialises a revision once; a part holds at most `max_part_bytes`, or one event. The last part
// carries `proof` (R19), which is the revision's; null: none.
SharedRevision MakeFeedRevision(const tollgate::v1::RevisionEvents& events, size_t max_part_bytes,
                                const tollgate::v1::Proof* proof);
// Back again, for those who read events rather than pass them on. DATA_LOSS never, short of a bug.
absl::StatusOr<tollgate::v1::RevisionEvents> ParseFeedRevision(const FeedRevision& revision);

// What follows a cursor.
struct RingRead {
  // The ring no longer holds the revisions after the cursor: read them from the store, or reset.
  bool fell_off = false;
  // In order, without a gap.
  std::vector<SharedRevision> revisions;
  // Where the cursor stands once `revisions` are sent: every revision with events after the cursor
  // and up to here is in `revisions`. It is the head where nothing follows `revisions`.
  int64_t complete_to = 0;
  // The head at the moment of the read.
  int64_t head = 0;
};

// The ring, bounded by count and by bytes (I5). It also knows the head, where the head has no
// events. Thread-safe.
class EventRing {
 public:
  struct Options {
    size_t max_revisions = 65536;
    size_t max_bytes = 64u << 20;
    size_t max_part_bytes = 256u << 10;
    // So many of the newest fingerprints are kept, for those who come back (R19).
    size_t max_fingerprints = 16384;
    // Outlives the ring. Null: events go without proofs.
    const ProofMaker* proofs = nullptr;
  };
  // Holds nothing up to `floor`, and every revision after it that is appended.
  EventRing(Options options, int64_t floor);

  // Adds the next revision, with or without events; the revision must be durable (R7). False, and
  // nothing changes, unless it is head + 1: every stream would skip a gap here (I3).
  [[nodiscard]] bool Append(const storage::TailEntry& entry) ABSL_LOCKS_EXCLUDED(mu_);
  // What comes after `cursor`: at most `max_revisions`, of at most `max_bytes` together (but at
  // least one).
  RingRead After(int64_t cursor, size_t max_revisions, size_t max_bytes) const
      ABSL_LOCKS_EXCLUDED(mu_);
  // The newest revision.
  int64_t head() const ABSL_LOCKS_EXCLUDED(mu_);
  // The ring can serve every cursor from floor() to head().
  int64_t floor() const ABSL_LOCKS_EXCLUDED(mu_);
  // The fingerprint of a revision, where it is one of the newest.
  absl::optional<std::string> FingerprintOf(int64_t revision) const ABSL_LOCKS_EXCLUDED(mu_);
  // What is held now.
  size_t bytes() const ABSL_LOCKS_EXCLUDED(mu_);
  size_t size() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const Options options_;
  mutable absl::Mutex mu_;
  std::deque<SharedRevision> revisions_ ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t floor_ ABSL_GUARDED_BY(mu_);
  int64_t head_ ABSL_GUARDED_BY(mu_);
  // Of the revisions up to head_, without a gap; those from before there were any are empty.
  std::deque<std::string> fingerprints_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_EVENT_RING_H_
