// Reads the feed for clients that are not validators, and reads events that the ring has dropped.
#ifndef TOLLGATE_SERVICE_FEED_FEED_READER_H_
#define TOLLGATE_SERVICE_FEED_FEED_READER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "service/feed/event_ring.h"
#include "service/feed/follower_stream_state.h"
#include "storage/engine.h"

namespace tollgate::service {

// A place in the feed for a client that is not a validator (WatchEvents). Not thread-safe, apart
// from the wake-up. Its destructor ends the subscription; the wake-up is not called afterwards.
class FeedReader {
 public:
  virtual ~FeedReader() = default;
  // The next revisions with events, in order, without a gap, at most `max_revisions` (> 0); empty:
  // there is nothing new yet. May read the store, so it must not run on a gRPC thread. OUT_OF_RANGE
  // (reason COMPACTED) where the store no longer keeps the revisions.
  virtual absl::StatusOr<std::vector<SharedRevision>> Read(size_t max_revisions) = 0;
  // Everything up to here was read.
  virtual int64_t cursor() const = 0;
};

// All readers of one feed. Thread-safe; outlives them.
class FeedReaders {
 public:
  // `ring` is made with these options.
  FeedReaders(storage::Engine* engine, const EventRing* ring, const EventRing::Options& options)
      : engine_(engine),
        ring_(ring),
        max_part_bytes_(options.max_part_bytes),
        proofs_(options.proofs) {}

  // As Hub's.
  absl::StatusOr<std::unique_ptr<FeedReader>> Subscribe(int64_t after, std::function<void()> wake)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Something new is in the ring. Calls the wake-ups under the lock, so that the destructor of a
  // reader waits for the reader's own wake-up.
  void WakeAll() ABSL_LOCKS_EXCLUDED(mu_);
  // One bounded read of Table::kEvents, up to the ring's head. Blocks.
  CatchUp ReadStore(int64_t after, size_t max_revisions) const;
  // The fingerprint of a revision that is not above the head. kNotAtHand: the store cannot be read.
  // Blocks.
  KnownFingerprint ReadFingerprint(int64_t revision) const;

 private:
  class Reader;

  storage::Engine* const engine_;
  const EventRing* const ring_;
  const size_t max_part_bytes_;
  const ProofMaker* const proofs_;
  absl::Mutex mu_;
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<uint64_t, std::function<void()>> wakes_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_FEED_READER_H_
