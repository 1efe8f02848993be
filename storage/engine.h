// The store's contract: what every engine keeps. An engine knows nothing of what its records mean.
// The sequencer stands above every engine; tests/conformance runs one suite against each.
#ifndef TOLLGATE_STORAGE_ENGINE_H_
#define TOLLGATE_STORAGE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::storage {

// The kinds of keys; schema.h says what lies in each. In RocksDB each is a column family.
enum class Table : uint8_t {
  kMeta = 0,
  kTokens,
  kDigests,
  kWorkspaces,
  kCohorts,
  kLabels,
  kDue,
  kRequests,
  kEvents,
  kAudit,
  kUse,
  kSessions,
  kFingerprints,
  kAuditByToken,
  kBindings,
};
inline constexpr int kTableCount = 15;
// "meta", "tokens", …
absl::string_view TableName(Table table);

// One key and its value.
struct Entry {
  std::string key;
  std::string value;
};

// Reads keys. Not thread-safe unless an implementation says so.
class View {
 public:
  virtual ~View() = default;
  // The value of a key; nullopt where there is none. Errors: the engine cannot
  // read (UNAVAILABLE, DATA_LOSS).
  virtual absl::StatusOr<absl::optional<std::string>> Get(Table table,
                                                          absl::string_view key) const = 0;
  // Up to `limit` entries with begin <= key < end, in key order. An empty `end` means the table's
  // end.
  virtual absl::StatusOr<std::vector<Entry>> Scan(Table table, absl::string_view begin,
                                                  absl::string_view end, size_t limit) const = 0;
};

// The whole store as of one revision. Thread-safe. A snapshot held for long keeps old data alive.
class Snapshot : public View {
 public:
  // The revision of the head that the snapshot shows; it is durable (R7).
  virtual int64_t revision() const = 0;
  // As Scan, from the range's end on backwards: the `limit` last entries, the last one first.
  virtual absl::StatusOr<std::vector<Entry>> ScanBack(Table table, absl::string_view begin,
                                                      absl::string_view end,
                                                      size_t limit) const = 0;
};

// One change of one key.
struct Mutation {
  Table table;
  std::string key;
  absl::optional<std::string> value;  // nullopt: delete
};

// One conditional write.
struct CommitRequest {
  // The write happens only if this still is the head; the new head is expected_head + 1.
  int64_t expected_head = 0;
  // Each key at most once. The HeadRecord of expected_head + 1 must be among them (RunBatch puts
  // it).
  std::vector<Mutation> mutations;
  // The revision's events. Where there are any, the engine also puts them under Table::kEvents, so
  // that the tail and a later reader cannot differ.
  tollgate::store::v1::EventsRecord events;
};

// The outcome of a conditional write. A lost race is a value, not an error.
struct CommitResult {
  bool committed = false;
  int64_t head = 0;  // the head now, either way
};

// One revision as the tail reports it. `events` is empty for a revision without events.
struct TailEntry {
  int64_t revision = 0;
  tollgate::v1::RevisionEvents events;
  // HeadRecord.fingerprint of that revision. Empty where it is no longer kept, or never was (a
  // revision from before format 2).
  std::string fingerprint;
};

// A subscription to commits; its destructor ends it, and returns only once no call is under way.
// The callback must therefore never destroy it.
class Tail {
 public:
  virtual ~Tail() = default;
};

// An engine. Thread-safe.
class Engine {
 public:
  virtual ~Engine() = default;

  // A consistent view at the durable head. Errors: UNAVAILABLE.
  virtual absl::StatusOr<std::unique_ptr<Snapshot>> NewSnapshot() = 0;

  // Writes the whole request atomically and durably, or nothing when the head has moved. Once this
  // returns OK with `committed`, the write survives a power cut. After an error it is *uncertain*
  // whether the request was written: the caller must end the process, or reopen the store and look
  // (R7). Only INVALID_ARGUMENT is certain: the request contradicts itself (no HeadRecord, or not
  // that of expected_head + 1; events of another revision), and nothing was written.
  virtual absl::StatusOr<CommitResult> Commit(const CommitRequest& request) = 0;

  // Merges what edges have reported into what is stored (UseRecord: the later of the times, or the
  // earlier of the first ones, and the sum of the counts, at most what an int64 holds). Not synced,
  // and no revision is taken: a crash may lose the last seconds of use. Can write Table::kUse and
  // nothing else.
  virtual absl::Status MergeUse(
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) = 0;

  // Removes use and adds use, in one step for every reader and for a crash; otherwise as MergeUse.
  // For folding many rows into one. A removed row goes with everything that was merged into it, so
  // the caller must make sure that no MergeUse of a removed key comes between its reading and this
  // call. A key that is removed and added to holds what is added, and nothing from before.
  virtual absl::Status FoldUse(
      const std::vector<std::string>& removed,
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) = 0;

  // Calls `on_entry` for every revision after `after`, in order, without a gap: first for those
  // committed already, then for each as it becomes durable. The later calls come on the committing
  // thread, so `on_entry` must be quick and must not call the engine. OUT_OF_RANGE: revisions after
  // `after` are compacted, or `after` is above the head.
  virtual absl::StatusOr<std::unique_ptr<Tail>> TailFrom(
      int64_t after, std::function<void(const TailEntry&)> on_entry) = 0;

  // A copy of the whole store at the head, as a directory that can be opened.
  // `path` must not exist. UNIMPLEMENTED where the engine has no files.
  virtual absl::Status Checkpoint(const std::string& path) = 0;
};

// The sum of two counts of use, at most what an int64 holds. A count below 0 is the result of an
// old overflow, and counts as 0.
int64_t AddUseCounts(int64_t a, int64_t b);

// Merges `delta` into `base`: what MergeUse means, for every engine.
void MergeUseRecord(const tollgate::store::v1::UseRecord& delta,
                    tollgate::store::v1::UseRecord* base);

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_ENGINE_H_
