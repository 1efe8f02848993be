// An engine with faults on demand, to test what stands above an engine. Tests only.
#ifndef TOLLGATE_TESTS_INSTRUMENTS_FAULT_ENGINE_H_
#define TOLLGATE_TESTS_INSTRUMENTS_FAULT_ENGINE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/engine.h"
#include "storage/memory/memory_engine.h"

namespace tollgate::instruments {

// Passes everything to the inner engine until told otherwise. Thread-safe. Its snapshots and tails
// must not outlive it.
class FaultEngine : public storage::Engine {
 public:
  explicit FaultEngine(std::unique_ptr<storage::Engine> inner);
  // Releases held commits.
  ~FaultEngine() override;

  // The next commit fails with `error`; nothing is written.
  void FailNextCommit(absl::Status error);
  // The next commit is written, and yet fails with `error`.
  void FailNextCommitUncertainly(absl::Status error);
  // Another writer gets in before the next commit, which thereby loses its race: the writer commits
  // one revision with `rival` in it (and an unchanged audit chain). May be called several times;
  // each call spoils one more commit.
  void LoseNextRace(std::vector<storage::Mutation> rival = {});
  // The next NewSnapshot fails.
  void FailNextSnapshot(absl::Status error);
  // The next MergeUse fails; nothing is written.
  void FailNextMergeUse(absl::Status error);

  // From now on commits wait before they write anything.
  void HoldCommits();
  // Lets the held commits go on, and holds no more.
  void ReleaseCommits();
  // Waits until `count` commits are held; false after 10 s.
  bool WaitForHeld(int count);

  // The machine loses power. Commits under way end in UNAVAILABLE; with `keep_commits_under_way`
  // they were written all the same, otherwise they are lost. Every later call is refused. Returns
  // the store that a restart finds: all commits, and of the merged use only what a later commit's
  // sync took with it. Call once.
  absl::StatusOr<std::unique_ptr<storage::MemoryEngine>> Crash(bool keep_commits_under_way);

  // How many commits were written, without those of rivals.
  int commits() const;

  absl::StatusOr<std::unique_ptr<storage::Snapshot>> NewSnapshot() override;
  absl::StatusOr<storage::CommitResult> Commit(const storage::CommitRequest& request) override;
  absl::Status MergeUse(
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) override;
  // Fails where a MergeUse would fail.
  absl::Status FoldUse(
      const std::vector<std::string>& removed,
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) override;
  absl::StatusOr<std::unique_ptr<storage::Tail>> TailFrom(
      int64_t after, std::function<void(const storage::TailEntry&)> on_entry) override;
  absl::Status Checkpoint(const std::string& path) override;

 private:
  struct Fault {
    absl::Status error;  // OK: none
    bool written = false;
  };
  // Waits while commits are held; takes the fault and the rivals meant for this commit.
  absl::Status EnterCommit(Fault* fault, std::vector<storage::Mutation>* rival, bool* has_rival);
  absl::Status CommitRival(const std::vector<storage::Mutation>& rival);
  bool NotHeldLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu_);

  const std::unique_ptr<storage::Engine> inner_;

  mutable absl::Mutex mu_;
  Fault commit_fault_ ABSL_GUARDED_BY(mu_);
  std::vector<std::vector<storage::Mutation>> rivals_ ABSL_GUARDED_BY(mu_);
  absl::Status snapshot_error_ ABSL_GUARDED_BY(mu_);
  absl::Status merge_error_ ABSL_GUARDED_BY(mu_);
  bool holding_ ABSL_GUARDED_BY(mu_) = false;
  int held_ ABSL_GUARDED_BY(mu_) = 0;
  int wanted_held_ ABSL_GUARDED_BY(mu_) = 0;
  int under_way_ ABSL_GUARDED_BY(mu_) = 0;  // commits, the held ones too
  bool crashed_ ABSL_GUARDED_BY(mu_) = false;
  bool keep_under_way_ ABSL_GUARDED_BY(mu_) = false;
  int commits_ ABSL_GUARDED_BY(mu_) = 0;
  // What is certainly on the disk: the store as the last commit left it.
  std::unique_ptr<storage::Snapshot> durable_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::instruments

#endif  // TOLLGATE_TESTS_INSTRUMENTS_FAULT_ENGINE_H_
