// What engines that live in this process share: the head, the order of commits, and the tail.
#ifndef TOLLGATE_STORAGE_EMBEDDED_ENGINE_H_
#define TOLLGATE_STORAGE_EMBEDDED_ENGINE_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/commit_notifier.h"
#include "storage/engine.h"

namespace tollgate::storage {

// An engine of which this process is the only writer. Thread-safe.
//
// A commit goes: take commit_mu_ → compare the head → Write (durable) → move the head → publish to
// the tails. commit_mu_ is held over the sync: there is one committer, and nothing may overtake its
// commit.
class EmbeddedEngine : public Engine {
 public:
  absl::StatusOr<CommitResult> Commit(const CommitRequest& request) final;
  // Reads past revisions on the caller's thread, from snapshots, while commits go on; commits are
  // held back only while the last few revisions are read.
  absl::StatusOr<std::unique_ptr<Tail>> TailFrom(
      int64_t after, std::function<void(const TailEntry&)> on_entry) final;

 protected:
  // Sets the head that was found at opening. To be called before anything else.
  void StartAtHead(int64_t head);

  // Writes all mutations durably, or fails. `events` may be null. Write is not called again after a
  // failure, because the failed write may or may not have taken effect.
  virtual absl::Status Write(const std::vector<Mutation>& mutations, const Mutation* events) = 0;

 private:
  // Calls `on_entry` for (after, head of a fresh snapshot]; returns that head.
  absl::StatusOr<int64_t> CatchUp(int64_t after,
                                  const std::function<void(const TailEntry&)>& on_entry);

  const std::shared_ptr<CommitNotifier> notifier_ = std::make_shared<CommitNotifier>();
  absl::Mutex commit_mu_;
  int64_t head_ ABSL_GUARDED_BY(commit_mu_) = 0;
  // The error of the write that failed: nothing may be written after it (R7).
  absl::Status failure_ ABSL_GUARDED_BY(commit_mu_);
};

// The HeadRecord that the request puts. INVALID_ARGUMENT where the request contradicts itself: see
// Engine::Commit.
absl::StatusOr<tollgate::store::v1::HeadRecord> CheckCommitRequest(const CommitRequest& request);

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_EMBEDDED_ENGINE_H_
