#include "storage/sequencer.h"

#include <algorithm>
#include <deque>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "base/invariant.h"
#include "base/status.h"

namespace tollgate::storage {
namespace {

// With other replicas writing, each lost race means that one of them made progress; this many in a
// row mean that something else is wrong.
constexpr int kMaxLostRaces = 1000;

struct Queued {
  std::shared_ptr<Command> command;
  Sequencer::Callback done;
};

class CommitterSequencer : public Sequencer {
 public:
  explicit CommitterSequencer(Options options) : options_(std::move(options)) {
    committer_ = std::thread([this] { CommitUntilStopped(); });
  }
  ~CommitterSequencer() override { Stop(); }

  void Submit(std::shared_ptr<Command> command, Callback done) override {
    absl::Status refusal = Enqueue(std::move(command), done);
    if (!refusal.ok()) done(std::move(refusal));
  }

  void Stop() override {
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
    }
    absl::MutexLock lock(&join_mu_);
    if (committer_.joinable()) committer_.join();
  }

  void Halt(absl::Status why) override {
    absl::MutexLock lock(&mu_);
    if (failure_.ok()) failure_ = std::move(why);
  }

  base::BootTime last_write_start() const override { return last_write().boot; }
  WriteStart last_write() const override {
    absl::MutexLock lock(&mu_);
    return last_write_;
  }

 private:
  absl::Status Enqueue(std::shared_ptr<Command> command, Callback& done) {
    absl::MutexLock lock(&mu_);
    if (!failure_.ok()) return failure_;
    if (stopping_) {
      return base::RefuseForNow("STOPPING", "the service is stopping; try again", absl::Seconds(1));
    }
    if (queue_.size() >= options_.max_queued) {
      base::ErrorDetails details;
      details.reason = "OVERLOADED";
      details.retry_after = absl::Seconds(1);
      return base::Refuse(absl::StatusCode::kResourceExhausted,
                          "too many changes are waiting to be written; try again", details);
    }
    queue_.push_back(Queued{std::move(command), std::move(done)});
    return absl::OkStatus();
  }

  void CommitUntilStopped() {
    for (;;) {
      std::vector<Queued> batch;
      absl::Status failure;
      {
        absl::MutexLock lock(&mu_);
        mu_.Await(absl::Condition(this, &CommitterSequencer::HasWorkLocked));
        if (queue_.empty()) return;
        while (!queue_.empty() && batch.size() < options_.max_batch) {
          batch.push_back(std::move(queue_.front()));
          queue_.pop_front();
          if (batch.back().command->ends_batch()) break;
        }
        failure = failure_;
      }
      const absl::StatusOr<std::vector<absl::StatusOr<Committed>>> results =
          failure.ok() ? CommitBatch(batch)
                       : absl::StatusOr<std::vector<absl::StatusOr<Committed>>>(failure);
      TOLLGATE_INVARIANT(!results.ok() || results->size() == batch.size(),
                         "each command of a batch is answered with its own result");
      for (size_t i = 0; i < batch.size(); ++i) {
        const absl::StatusOr<Committed> result =
            results.ok() ? (*results)[i] : absl::StatusOr<Committed>(results.status());
        if (options_.on_command) {
          options_.on_command(batch[i].command->name(), result.status().code());
        }
        batch[i].done(result);
        batch[i] = Queued();  // what a callback holds goes with it
      }
    }
  }

  bool HasWorkLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_ || !queue_.empty();
  }

  // Runs and writes one batch. An error is the answer to all of its commands, because any answer,
  // an error too, may rest on effects that were not written.
  absl::StatusOr<std::vector<absl::StatusOr<Committed>>> CommitBatch(
      const std::vector<Queued>& batch) {
    std::vector<Command*> commands;
    commands.reserve(batch.size());
    for (const Queued& queued : batch) commands.push_back(queued.command.get());

    for (int race = 0; race < kMaxLostRaces; ++race) {
      // A failed read has written nothing, so it ends only this batch.
      absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = options_.engine->NewSnapshot();
      if (!snapshot.ok()) return Unreadable(snapshot.status());
      absl::StatusOr<BatchOutcome> outcome = RunBatch(
          **snapshot, options_.time ? options_.time() : options_.clock->ServiceNow(), commands);
      if (!outcome.ok()) return Unreadable(outcome.status());
      if (!outcome->has_effects) return std::move(outcome->results);
      snapshot->reset();  // do not keep what the commit replaces alive during it

      const absl::Time wall_started = options_.clock->WallNow();
      const base::BootTime started = options_.clock->Now();
      absl::StatusOr<CommitResult> written = options_.engine->Commit(outcome->request);
      if (!written.ok()) return Fail(written.status());
      if (!written->committed) continue;  // another replica was first: judge again
      // The answers name that revision; with another head they would name someone else's commit.
      TOLLGATE_INVARIANT(written->head == outcome->request.expected_head + 1,
                         "a commit's revision is the head's plus one");
      {
        absl::MutexLock lock(&mu_);
        last_write_ = {started, wall_started};
      }
      if (options_.on_commit) {
        options_.on_commit(outcome->request.expected_head + 1, batch.size(),
                           options_.clock->Now() - started);
      }
      return std::move(outcome->results);
    }
    return base::RefuseForNow("STORE_CONTENDED", "others keep changing the store first; try again",
                              absl::Seconds(1));
  }

  static absl::Status Unreadable(const absl::Status& status) {
    // What is damaged stays so: nobody is told to try again.
    if (base::ReasonOf(status) == "STORE_CORRUPT") return status;
    return base::RefuseForNow(
        "STORE_READ_FAILED",
        absl::StrCat("the store cannot be read: ", absl::string_view(status.message())),
        absl::Seconds(1));
  }

  // The first and last failed write.
  absl::Status Fail(const absl::Status& status) {
    const absl::Status refusal =
        base::RefuseForNow("STORE_FAILED",
                           absl::StrCat("a write failed, or it is uncertain whether it did: ",
                                        absl::string_view(status.message())),
                           absl::Seconds(5));
    {
      absl::MutexLock lock(&mu_);
      failure_ = refusal;
    }
    if (options_.on_fatal) options_.on_fatal(status);
    return refusal;
  }

  const Options options_;
  absl::Mutex join_mu_;  // two Stop()s at once
  std::thread committer_ ABSL_GUARDED_BY(join_mu_);

  mutable absl::Mutex mu_;
  std::deque<Queued> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status failure_
      ABSL_GUARDED_BY(mu_);  // not OK: a write failed, or Halt: nothing is written again
  WriteStart last_write_ ABSL_GUARDED_BY(mu_) = {base::BootTime::InfinitePast(), absl::nullopt};
};

}  // namespace

absl::StatusOr<std::unique_ptr<Sequencer>> Sequencer::Start(Options options) {
  if (options.engine == nullptr || options.clock == nullptr) {
    return absl::InvalidArgumentError("a sequencer needs an engine and a clock");
  }
  if (options.max_batch == 0 || options.max_queued == 0) {
    return absl::InvalidArgumentError("max_batch and max_queued are at least 1");
  }
  return std::unique_ptr<Sequencer>(std::make_unique<CommitterSequencer>(std::move(options)));
}

absl::StatusOr<Committed> Sequencer::Run(std::shared_ptr<Command> command) {
  absl::Notification done;
  absl::StatusOr<Committed> result = absl::UnknownError("not run");
  Submit(std::move(command), [&](absl::StatusOr<Committed> committed) {
    result = std::move(committed);
    done.Notify();
  });
  done.WaitForNotification();
  return result;
}

}  // namespace tollgate::storage
