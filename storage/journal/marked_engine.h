// An engine that leaves a mark of each commit before anybody hears of it.
#ifndef TOLLGATE_STORAGE_JOURNAL_MARKED_ENGINE_H_
#define TOLLGATE_STORAGE_JOURNAL_MARKED_ENGINE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/disk_work.h"
#include "storage/engine.h"
#include "storage/journal/head_mark.h"

namespace tollgate::storage {

// Passes everything on to the engine within. Once a commit is durable, and before a tail, a
// snapshot or the answer tells of it, its revision and fingerprint overwrite the head mark. At the
// next start a store that has lost what was told, or has another history in its place, is known by
// it (docs/adr/0009-marks.md). The mark is a second witness: where it cannot be written the store
// goes on, and that is told. Thread-safe; `inner` outlives it.
class MarkedEngine : public Engine {
 public:
  struct Options {
    std::string path;  // the mark's
    // The mark cannot be read, or can no longer be written; not again until it was written. On the
    // thread of whoever commits or reads; may be empty.
    std::function<void(const absl::Status&)> on_failed;
    DiskWork* work = nullptr;  // is told of what is written; outlives it; may be null
  };
  // Compares the store with the mark, and writes nothing. STORE_ROLLED_BACK, FAILED_PRECONDITION:
  // the mark is of this store's epoch, and above its head, or of another fingerprint at one of its
  // revisions. A mark of another store or epoch says nothing; nor does none, or one that is not
  // whole.
  static absl::StatusOr<std::unique_ptr<MarkedEngine>> Open(Engine* inner, Options options);

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

  // How many commits were not marked, since the start.
  int64_t failures() const { return failures_.load(std::memory_order_relaxed); }

 private:
  MarkedEngine(Engine* inner, Options options)
      : inner_(inner),
        on_failed_(std::move(options.on_failed)),
        write_(options.work, DiskJobKind::kWrite, "a write of the head mark", options.path),
        mark_(std::move(options.path)) {}
  void Mark(int64_t revision, absl::string_view fingerprint) ABSL_LOCKS_EXCLUDED(mu_);

  Engine* const inner_;
  const std::function<void(const absl::Status&)> on_failed_;
  const WatchedJob write_;
  std::string store_id_;  // const once opened, as is the epoch: both outlive the process
  std::string epoch_;
  std::atomic<int64_t> marked_ = 0;  // nobody is told of what is above it
  std::atomic<int64_t> failures_ = 0;
  absl::Mutex mu_;
  HeadMark mark_ ABSL_GUARDED_BY(mu_);
  bool failing_ ABSL_GUARDED_BY(mu_) = false;
};

// Overwrites the mark at `path` with the head of the store that `view` shows. For whoever begins a
// new history on a store. UNAVAILABLE: the disk.
absl::Status WriteHeadMark(const View& view, const std::string& path);

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_JOURNAL_MARKED_ENGINE_H_
