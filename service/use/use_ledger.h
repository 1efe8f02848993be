// The destination of reports of use and of refused attempts: merged into the store, unsynced and
// past the sequencer (design, section 5), and noted as heard.
#ifndef TOLLGATE_SERVICE_USE_USE_LEDGER_H_
#define TOLLGATE_SERVICE_USE_USE_LEDGER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "service/use/coverage.h"
#include "service/use/silence.h"
#include "service/use/use_fold.h"
#include "service/use/use_sink.h"
#include "storage/engine.h"

namespace tollgate::service {

// The most uses, and the most attempts, that one report may count: no validator has decided more
// since its last one.
inline constexpr int64_t kMostUsesCounted = int64_t{1} << 40;

// Thread-safe. Reports are queued, bounded, and merged in batches on the executor, in order. A
// report counts as heard only once it has been merged, so a reader of the store after Evidence()
// sees everything that the evidence rests on. Use that had to be dropped leaves a gap. Attempts
// have a bound of their own, because whoever holds dead tokens decides how many there are: those
// beyond it are dropped alone, and leave none. Nor does one edge take the others' places: beyond an
// eighth of them it has only what is left of the first half.
class UseLedger : public UseSink {
 public:
  struct Options {
    storage::Engine* engine = nullptr;    // outlives the ledger and its work on the executor
    base::Executor* executor = nullptr;   // outlives the ledger; runs nothing of it after Stop()
    const base::Clock* clock = nullptr;   // outlives the ledger
    size_t max_queued_uses = 100'000;     // waiting to be merged
    size_t max_queued_attempts = 20'000;  // entries, beside them
    size_t max_uses_per_report = 10'000;  // of each; the rest of a longer report is dropped
    size_t max_uses_per_merge = 5'000;    // with the entries of attempts
    // As Coverage::Options. A few usage intervals.
    absl::Duration max_report_lag = absl::Seconds(30);
    // Called with the numbers of dropped uses and entries of attempts, for a log; may be empty.
    std::function<void(size_t uses, size_t attempts)> on_dropped;
    // Called with the attempts that were merged, which are on tokens that exist; may be empty.
    std::function<void(tollgate::v1::VerdictReason reason, int64_t count)> on_attempts;
    // Called when a merge could not be written: the store takes no more writes, so the process must
    // end. May be empty.
    std::function<void(const absl::Status&)> on_write_failed;
  };
  // INVALID_ARGUMENT without engine, executor or clock.
  static absl::StatusOr<std::unique_ptr<UseLedger>> Create(Options options);
  // Waits until none of its work is under way on the executor. The executor must still run, or have
  // stopped, which drops the work that it has not begun.
  ~UseLedger() override;

  void Report(absl::string_view validator_id, absl::string_view incarnation,
              const tollgate::v1::Usage& usage) override;
  void SessionLive(absl::string_view validator_id, absl::string_view incarnation) override;
  void SessionEnded(absl::string_view validator_id, absl::string_view incarnation,
                    bool said_goodbye) override;

  // The hub has started, and has told of every session of the stored roster. Nothing counts as
  // heard before this call; a session that is first told of after it is new, and has nothing to
  // report from before.
  void RosterLoaded();
  // What the edges have reported, for the retirement of a token and for the sweep. Take the
  // evidence before the view that it is judged with.
  SilenceEvidence Evidence() const;
  // One step of folding old use, on the caller's thread. No report is merged meanwhile, so none can
  // come between the reading and the removal of a row. `from` and the result are PlanUseFold's.
  // Errors: the engine's; a failed write also calls on_write_failed.
  absl::StatusOr<std::string> Fold(const std::string& from, const UseFoldLimits& limits);
  // Merges the queue on the caller's thread: before the engine is closed, and in tests.
  void Flush();

 private:
  struct Item {
    enum class Kind { kReport, kLive, kEnded } kind;
    std::string validator_id;
    std::string incarnation;
    absl::Time at;  // when it was told
    // kReport.
    std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>> uses;
    std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>> attempts;
    absl::Time complete_until = absl::InfinitePast();
    // kEnded.
    bool said_goodbye = false;
    // kLive.
    absl::Time told_until = absl::InfinitePast();
  };
  // Shared with the work on the executor: work that begins late finds an empty link in place of a
  // ledger that is gone.
  struct Link;

  explicit UseLedger(Options options);
  // How many entries of attempts this edge may put into the queue now.
  size_t RoomForAttempts(const std::string& validator_id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Queue(Item item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Schedule();
  void Drain();
  void Apply(const Item& item, bool merged) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Merge(const std::deque<Item>& batch);
  void Dropped(size_t uses, size_t attempts) const;

  const Options options_;
  std::shared_ptr<Link> link_;
  absl::Mutex drain_mu_;  // one merge at a time, so that merges keep their order; acquired before
                          // mu_
  mutable absl::Mutex mu_;
  std::deque<Item> queue_ ABSL_GUARDED_BY(mu_);
  size_t queued_uses_ ABSL_GUARDED_BY(mu_) = 0;
  size_t queued_attempts_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::string, size_t> attempts_of_edge_ ABSL_GUARDED_BY(mu_);  // of those; none is 0
  size_t queued_lives_ ABSL_GUARDED_BY(mu_) = 0;
  bool scheduled_ ABSL_GUARDED_BY(mu_) = false;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;  // a batch has left the queue and is not applied yet
  bool roster_loaded_ ABSL_GUARDED_BY(mu_) = false;
  Coverage coverage_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_USE_USE_LEDGER_H_
