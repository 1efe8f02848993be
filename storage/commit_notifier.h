// The live part of a tail, for engines that live in one process.
#ifndef TOLLGATE_STORAGE_COMMIT_NOTIFIER_H_
#define TOLLGATE_STORAGE_COMMIT_NOTIFIER_H_

#include <functional>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/engine.h"

namespace tollgate::storage {

// The register of those that follow the commits. Thread-safe. Held by shared_ptr, so a Tail may
// outlive its engine.
class CommitNotifier : public std::enable_shared_from_this<CommitNotifier> {
 public:
  using OnEntry = std::function<void(const TailEntry&)>;

  // Calls `on_entry` for every Publish from now on, until the Tail is destroyed. The Tail's
  // destructor waits for a call under way, so `on_entry` must never destroy it.
  std::unique_ptr<Tail> Add(OnEntry on_entry);

  // Calls every follower, on this thread. The caller serialises revisions.
  void Publish(const TailEntry& entry);

 private:
  class Follower;

  // Held while followers are called, on purpose: a Tail's destructor thereby waits for its call.
  // Followers are quick by contract.
  absl::Mutex mu_;
  int64_t next_id_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<int64_t, OnEntry> followers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_COMMIT_NOTIFIER_H_
