// An engine that tells what it is doing, and what it has found damaged.
#ifndef TOLLGATE_STORAGE_WATCHED_ENGINE_H_
#define TOLLGATE_STORAGE_WATCHED_ENGINE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "storage/disk_work.h"
#include "storage/engine.h"

namespace tollgate::storage {

// Passes every call on to the inner engine. Meanwhile the call is told of as work under way; an
// error of it that says DATA_LOSS is told of, too. Thread-safe; its snapshots must not outlive it.
class WatchedEngine : public Engine {
 public:
  struct Options {
    std::string place;         // where the store is, for people
    DiskWork* work = nullptr;  // outlives the engine; may be null
    // Something of the store cannot be read as it was written. On the thread of whoever asked, for
    // each such error; must be quick. May be empty.
    std::function<void(const absl::Status&)> on_damage;
  };
  // `inner` outlives it.
  WatchedEngine(Engine* inner, Options options);

  absl::StatusOr<std::unique_ptr<Snapshot>> NewSnapshot() override;
  absl::StatusOr<CommitResult> Commit(const CommitRequest& request) override;
  absl::Status MergeUse(
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) override;
  absl::Status FoldUse(
      const std::vector<std::string>& removed,
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) override;
  absl::StatusOr<std::unique_ptr<Tail>> TailFrom(
      int64_t after, std::function<void(const TailEntry&)> on_entry) override;
  absl::Status Checkpoint(const std::string& path) override;

 private:
  class WatchedSnapshot;
  // Returns `status`.
  absl::Status Seen(absl::Status status) const;

  Engine* const inner_;
  DiskWork* const work_;
  const std::function<void(const absl::Status&)> on_damage_;
  const WatchedJob read_;
  const WatchedJob commit_;
  const WatchedJob use_;
  const WatchedJob tail_;
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_WATCHED_ENGINE_H_
