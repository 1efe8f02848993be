// The one writer above an engine: group commit of pure commands.
#ifndef TOLLGATE_STORAGE_SEQUENCER_H_
#define TOLLGATE_STORAGE_SEQUENCER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "storage/command.h"
#include "storage/engine.h"

namespace tollgate::storage {

// How a command ended.
struct Committed {
  // The revision that the command was committed with; durable (R7). For a command without effects:
  // the head it was judged at, or this commit's revision where earlier commands of the batch had
  // effects that the command may have seen.
  int64_t revision = 0;
  // Its place in the batch.
  uint32_t index = 0;
};

// What a batch's commands are told of the time, and what the head record keeps of it (R20).
struct BatchTime {
  BatchTime() = default;
  BatchTime(absl::Time now) : now(now) {}  // NOLINT: where there is a time and nothing to doubt
  absl::Time now;                          // the service's time
  bool in_doubt = false;                   // whether the wall clock is in doubt
  // Which boot of which machine `boot` is read on; empty: not known.
  std::string boot_id;
  base::BootTime boot;
  // The end of a doubt moved the service's time forward, to this moment: how long ago anything
  // before it was is not known. Unset: not in this process.
  absl::optional<absl::Time> jumped_to;
};

// The pure core: runs a batch of commands over a view and makes one commit of them.
// tests/simulation drives it without threads.
struct BatchOutcome {
  CommitRequest request;                           // empty mutations: nothing to write
  std::vector<absl::StatusOr<Committed>> results;  // one a command
  bool has_effects = false;
};
// Only RunBatch writes HeadRecord, new events and the audit chain; a command that does so itself
// gets INTERNAL, and nothing of it is written. Errors: the snapshot cannot be read.
absl::StatusOr<BatchOutcome> RunBatch(const Snapshot& snapshot, const BatchTime& time,
                                      const std::vector<Command*>& commands);

// Its one committer thread takes all queued commands, runs them on the state overlaid with the
// batch so far, and writes one batch with one sync under one new revision. When the head has moved,
// it runs the commands again. Thread-safe.
class Sequencer {
 public:
  struct Options {
    Engine* engine = nullptr;            // outlives the sequencer
    const base::Clock* clock = nullptr;  // outlives the sequencer
    // What a batch is told of the time; empty: the clock's ServiceNow, and no doubt. Thread-safe.
    std::function<BatchTime()> time;
    size_t max_queued = 10000;  // commands waiting; above it Submit refuses
    size_t max_batch = 1000;    // commands in one commit
    // Called once when a write failed or its outcome is uncertain. The process must end, since a
    // crash could reuse the revision for other content (R7). From then on every command is answered
    // UNAVAILABLE.
    std::function<void(const absl::Status&)> on_fatal;
    // Called after each commit that wrote, on the committer thread, before the commands' callbacks,
    // with the time that the write took. For metrics; may be empty.
    std::function<void(int64_t revision, size_t commands, absl::Duration write)> on_commit;
    // Called for each command with its name and outcome, on the committer thread, before its
    // callback. For metrics; may be empty.
    std::function<void(absl::string_view command, absl::StatusCode code)> on_command;
  };
  using Callback = std::function<void(absl::StatusOr<Committed>)>;

  // Starts the committer. INVALID_ARGUMENT without engine or clock.
  static absl::StatusOr<std::unique_ptr<Sequencer>> Start(Options options);
  // Stop()s.
  virtual ~Sequencer() = default;

  // Queues a command. `done` runs on the committer thread: once the command is durable (I4), or
  // with the command's error, or with UNAVAILABLE (reasons STORE_FAILED, STORE_READ_FAILED,
  // STORE_CONTENDED). `done` runs at once, on the caller's thread, with RESOURCE_EXHAUSTED
  // (OVERLOADED) when the queue is full, and with UNAVAILABLE after Stop() (STOPPING) or a failed
  // write (STORE_FAILED). `done` must be quick (a gRPC Finish is, an fsync is not) and must neither
  // destroy nor Stop() the sequencer.
  virtual void Submit(std::shared_ptr<Command> command, Callback done) = 0;
  // As Submit, but blocks until the command has ended. For start-up, tests and tools; never on a
  // gRPC thread.
  absl::StatusOr<Committed> Run(std::shared_ptr<Command> command);
  // Finishes the queued commands, then refuses new ones. Idempotent.
  virtual void Stop() = 0;
  // From now on refuses every command, queued ones too, with `why`; a batch under way is finished.
  // Idempotent; may be called in a callback.
  virtual void Halt(absl::Status why) = 0;
  // When the last successful write began, by the boot clock (R16).
  virtual base::BootTime last_write_start() const = 0;
  // The start of the last successful write by both clocks; `wall` was read just before `boot`,
  // where it is known.
  struct WriteStart {
    base::BootTime boot;
    absl::optional<absl::Time> wall;
  };
  virtual WriteStart last_write() const { return {last_write_start(), absl::nullopt}; }
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_SEQUENCER_H_
