// A store in memory: for tests and simulation.
#ifndef TOLLGATE_STORAGE_MEMORY_MEMORY_ENGINE_H_
#define TOLLGATE_STORAGE_MEMORY_MEMORY_ENGINE_H_

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/embedded_engine.h"

namespace tollgate::storage {

// Keeps every key with its versions, so a snapshot costs only a number; a version that no snapshot
// can see any more is dropped as writes go on. Every write is "durable" at once;
// tests/instruments/fault_engine simulates the loss of unsynced writes. Thread-safe. Snapshots must
// not outlive it.
class MemoryEngine : public EmbeddedEngine {
 public:
  struct Options {
    std::string epoch = "00000000000000000000000000000001";  // 32 hex digits
    int64_t create_time_us = 0;
    std::string store_id = "00000000000000000000000000000002";  // 32 hex digits
  };
  // An empty store: MetaRecord, and HeadRecord at revision 0.
  static absl::StatusOr<std::unique_ptr<MemoryEngine>> Open(Options options);
  static absl::StatusOr<std::unique_ptr<MemoryEngine>> Open() { return Open(Options()); }
  // Everything that a snapshot shows, as a store of its own: to copy a store, or to roll one back.
  // Takes a snapshot of any engine. Fails as the snapshot's reads do.
  static absl::StatusOr<std::unique_ptr<MemoryEngine>> CopyOf(const Snapshot& snapshot);

  ~MemoryEngine() override;

  absl::StatusOr<std::unique_ptr<Snapshot>> NewSnapshot() override;
  absl::Status MergeUse(
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) override;
  absl::Status FoldUse(
      const std::vector<std::string>& removed,
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) override;
  // UNIMPLEMENTED: see CopyOf.
  absl::Status Checkpoint(const std::string& path) override;

  // How many versions are kept of all keys, deletions included. Tests check the pruning by it.
  size_t version_count() const;

 protected:
  absl::Status Write(const std::vector<Mutation>& mutations, const Mutation* events) override;

 private:
  class MemorySnapshot;
  struct Version {
    int64_t sequence;
    absl::optional<std::string> value;  // nullopt: deleted
  };
  using Versions = std::vector<Version>;  // ascending
  using Keys = std::map<std::string, Versions>;
  // A version that may hide older ones; those are dropped once no snapshot is below it.
  struct Superseding {
    int64_t sequence;
    Table table;
    std::string key;
  };

  MemoryEngine() = default;
  void PutLocked(Table table, const std::string& key, absl::optional<std::string> value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PruneLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The value as of `sequence`; null where there is none.
  static const std::string* ValueAt(const Versions& versions, int64_t sequence);

  mutable absl::Mutex mu_;
  // Counts writes, merges of use included. Revisions do not count merges of use.
  int64_t sequence_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t revision_ ABSL_GUARDED_BY(mu_) = 0;
  std::array<Keys, kTableCount> tables_ ABSL_GUARDED_BY(mu_);
  std::multiset<int64_t> live_snapshots_ ABSL_GUARDED_BY(mu_);
  std::deque<Superseding> superseding_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_MEMORY_MEMORY_ENGINE_H_
