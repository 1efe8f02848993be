#include "service/sweep/sweeper.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"

namespace tollgate::service {

struct Sweeper::State {
  explicit State(Options o) : options(std::move(o)) {}

  const Options options;
  absl::Mutex mu;
  bool stopping ABSL_GUARDED_BY(mu) = false;
  bool under_way ABSL_GUARDED_BY(mu) = false;
  std::string watch_cursor ABSL_GUARDED_BY(mu);
  std::string walk_cursor ABSL_GUARDED_BY(mu);
};

std::unique_ptr<Sweeper> Sweeper::Start(Options options) {
  auto state = std::make_shared<State>(std::move(options));
  Step(state);
  return std::unique_ptr<Sweeper>(new Sweeper(std::move(state)));
}

Sweeper::~Sweeper() { Stop(); }

void Sweeper::Stop() {
  absl::MutexLock lock(&state_->mu);
  state_->stopping = true;
  state_->mu.Await(absl::Condition(
      +[](State* state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state->mu) { return !state->under_way; },
      state_.get()));
}

void Sweeper::Step(const std::shared_ptr<State>& state) {
  std::string cursor;
  std::string walk_cursor;
  {
    absl::MutexLock lock(&state->mu);
    if (state->stopping) return;
    state->under_way = true;
    cursor = state->watch_cursor;
    walk_cursor = state->walk_cursor;
  }
  auto command = std::make_shared<SweepCommand>(state->options.limits, state->options.evidence(),
                                                std::move(cursor), std::move(walk_cursor));
  state->options.sequencer->Submit(command,
                                   [state, command](absl::StatusOr<storage::Committed> committed) {
                                     Done(state, *command, committed);
                                   });
}

void Sweeper::Done(const std::shared_ptr<State>& state, const SweepCommand& command,
                   const absl::StatusOr<storage::Committed>& committed) {
  bool again = false;
  if (committed.ok()) {
    const SweepCommand::Result& result = command.result();
    again = result.more;
    absl::Duration lag;
    // How long the work done now was overdue. Work that is left became due later.
    if (result.first_due.has_value()) {
      lag = std::max(lag, state->options.clock->ServiceNow() - *result.first_due);
    }
    const size_t done = result.expired + result.retired + result.unused +
                        result.forgotten_requests + result.compacted_revisions +
                        result.ends_written + result.purged;
    if (state->options.on_step) state->options.on_step(lag, static_cast<int64_t>(done));
    if (result.expired + result.retired + result.unused + result.purged > 0) {
      base::Log(base::LogLevel::kInfo, "swept",
                {{"revision", committed->revision},
                 {"expired", static_cast<int64_t>(result.expired)},
                 {"retired", static_cast<int64_t>(result.retired)},
                 {"unused", static_cast<int64_t>(result.unused)},
                 {"purged", static_cast<int64_t>(result.purged)}});
    }
  } else if (!absl::IsUnavailable(committed.status())) {  // that is a stop
    base::LogSummed(base::LogLevel::kError, "a sweep failed", base::ReasonOf(committed.status()),
                    {{"status", committed.status()}});
  }
  {
    absl::MutexLock lock(&state->mu);
    state->under_way = false;
    if (committed.ok()) {
      state->watch_cursor = command.result().watch_cursor;
      state->walk_cursor = command.result().walk_cursor;
    }
    if (state->stopping) return;
  }
  // Off the committer's thread: the evidence takes a lock of the ledger's.
  state->options.timer->After(again ? absl::ZeroDuration() : state->options.interval,
                              [state] { Step(state); });
}

}  // namespace tollgate::service
