// Submits the sweep again and again, so that the changes that time brings are committed (R18).
#ifndef TOLLGATE_SERVICE_SWEEP_SWEEPER_H_
#define TOLLGATE_SERVICE_SWEEP_SWEEPER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "service/sweep/sweep.h"
#include "service/use/silence.h"
#include "storage/sequencer.h"

namespace tollgate::service {

// Runs one step at a time. The next step follows at once while a step leaves something due,
// otherwise after the interval. Each step is bounded, so callers' commands get between steps.
// Thread-safe.
class Sweeper {
 public:
  struct Options {
    absl::Duration interval = absl::Seconds(1);
    SweepCommand::Limits limits;
    // All outlive the sweeper.
    storage::Sequencer* sequencer = nullptr;
    base::ThreadPool* timer = nullptr;
    const base::Clock* clock = nullptr;
    std::function<SilenceEvidence()> evidence;
    // Called after each step, on the committer's thread: how late the oldest due entry was (zero:
    // none was due), and how many entries the step handled.
    std::function<void(absl::Duration lag, int64_t done)> on_step;
  };
  // Begins at once.
  static std::unique_ptr<Sweeper> Start(Options options);
  // Stop()s.
  ~Sweeper();

  // Submits nothing more, and waits for the step under way. Idempotent.
  void Stop();

 private:
  // Held by timers and by the sequencer's callbacks, which may outlive the sweeper.
  struct State;
  explicit Sweeper(std::shared_ptr<State> state) : state_(std::move(state)) {}
  static void Step(const std::shared_ptr<State>& state);
  static void Done(const std::shared_ptr<State>& state, const SweepCommand& command,
                   const absl::StatusOr<storage::Committed>& committed);

  const std::shared_ptr<State> state_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_SWEEP_SWEEPER_H_
