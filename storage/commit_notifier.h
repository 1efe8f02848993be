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

// Who follows the commits. Thread-safe; held by shared_ptr, so a Tail may go
// after its engine.
class CommitNotifier : public std::enable_shared_from_this<CommitNotifier> {
 public:
  using OnEntry = std::function<void(const TailEntry&)>;

  // From now on `on_entry` gets every Publish, until the Tail goes. The Tail's
  // destructor waits for a call under way: never from inside `on_entry`.
  std::unique_ptr<Tail> Add(OnEntry on_entry);

  // Calls every follower, on this thread. The caller serialises revisions.
  void Publish(const TailEntry& entry);

 private:
  class Follower;

  // Held while followers are called, on purpose: it is what makes a Tail's
  // destructor wait. Followers are quick by contract.
  absl::Mutex mu_;
  int64_t next_id_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<int64_t, OnEntry> followers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_COMMIT_NOTIFIER_H_
