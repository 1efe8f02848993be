// The store's contract: what every engine keeps, and nothing of what it means.
// Above it stands the sequencer; tests/conformance runs one suite against each engine.
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

// The kinds of keys; schema.h says what lies in each. Column families in RocksDB.
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
};
inline constexpr int kTableCount = 13;
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
  // Up to `limit` entries with begin <= key < end, in key order; an empty `end` is the table's end.
  virtual absl::StatusOr<std::vector<Entry>> Scan(Table table, absl::string_view begin,
                                                  absl::string_view end, size_t limit) const = 0;
};

// The whole store as of one revision. Thread-safe. Holding one for long keeps old data alive.
class Snapshot : public View {
 public:
  // The head as of which it reads: durable (R7).
  virtual int64_t revision() const = 0;
};

// One change of one key.
struct Mutation {
  Table table;
  std::string key;
  absl::optional<std::string> value;  // nullopt: delete
};

// What one conditional write puts in.
struct CommitRequest {
  // Written only if the head still is this; the new head is expected_head + 1.
  int64_t expected_head = 0;
  // Each key at most once. Must put the HeadRecord of expected_head + 1 (RunBatch does).
  std::vector<Mutation> mutations;
  // The revision's events. The engine also puts them under Table::kEvents when there are any, so
  // what the tail tells and what a later reader finds cannot differ.
  tollgate::store::v1::EventsRecord events;
};

// How a conditional write ended. A lost race is a value, not an error.
struct CommitResult {
  bool committed = false;
  int64_t head = 0;  // the head now, either way
};

// One revision as the tail tells it. `events` is empty for a revision without any.
struct TailEntry {
  int64_t revision = 0;
  tollgate::v1::RevisionEvents events;
  // HeadRecord.fingerprint of that revision. Empty where it is no longer kept, or never was (a
  // revision from before format 2).
  std::string fingerprint;
};

// A subscription to what is committed; ends with it. Its destructor returns
// only once no call is under way, so never destroy it from inside the callback.
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

  // Atomically writes all of it, durably (it survives a power cut once this
  // returns OK with committed), or nothing when the head has moved. An error
  // leaves it *uncertain* whether it was written: the caller must end the
  // process, or reopen and look (R7). INVALID_ARGUMENT alone is certain: the
  // request contradicts itself (no HeadRecord, or not that of expected_head + 1;
  // events of another revision) and nothing was written.
  virtual absl::StatusOr<CommitResult> Commit(const CommitRequest& request) = 0;

  // Adds use: merged into what is there (UseRecord: later of the times, sum of
  // the counts, which stay at the most that an int64 holds), not synced, and no revision is taken.
  // Losing the last seconds of it in a crash is allowed. It can write Table::kUse and nothing else.
  virtual absl::Status MergeUse(
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) = 0;

  // Removes use and adds use, in one step for every reader and for a crash; else as MergeUse. For
  // folding many rows into one: what is removed is gone with all that was added to it, so the
  // caller must see to it that no MergeUse of a removed key comes between its reading and this.
  // A key is not both removed and added to.
  virtual absl::Status FoldUse(
      const std::vector<std::string>& removed,
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) = 0;

  // Calls `on_entry` for every revision after `after`, in order, without a gap:
  // first those committed already, then each as it becomes durable, on the
  // committing thread (so it must be quick, and must not call the engine).
  // OUT_OF_RANGE where revisions after `after` are compacted, or `after` is
  // above the head.
  virtual absl::StatusOr<std::unique_ptr<Tail>> TailFrom(
      int64_t after, std::function<void(const TailEntry&)> on_entry) = 0;

  // A copy of the whole store at the head, as a directory that can be opened.
  // `path` must not exist. UNIMPLEMENTED where the engine has no files.
  virtual absl::Status Checkpoint(const std::string& path) = 0;
};

// The sum of two counts of use, at most what an int64 holds. What is below 0 was an overflow once,
// and counts as nothing.
int64_t AddUseCounts(int64_t a, int64_t b);

// Merges `delta` into `base`: what MergeUse means, for every engine.
void MergeUseRecord(const tollgate::store::v1::UseRecord& delta,
                    tollgate::store::v1::UseRecord* base);

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_ENGINE_H_
