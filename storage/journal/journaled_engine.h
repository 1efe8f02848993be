// An engine that also writes what takes permission away to a journal (R17).
#ifndef TOLLGATE_STORAGE_JOURNAL_JOURNALED_ENGINE_H_
#define TOLLGATE_STORAGE_JOURNAL_JOURNALED_ENGINE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "storage/engine.h"
#include "storage/journal/journal.h"

namespace tollgate::storage {

// After so many commits without an entry the journal is told how far the store is. So a journal
// that the store was always run with ends at most so many revisions before the store's head.
inline constexpr int64_t kJournalMarkEvery = 1024;

// Passes everything on to the engine within. A commit that changes tokens that existed, or revokes
// a cohort, is journaled and synced *before* it is committed: what the service has said was
// revoked is in the journal, whichever disk is lost. Other commits cost nothing more (but for one
// mark in 1024). docs/adr/0006-journal.md tells why in this order. Thread-safe.
class JournaledEngine : public Engine {
 public:
  // Opens the journal for this store, and brings the two together:
  // * a last entry whose commit is not in the store is kept as unfinished();
  // * what was committed without a journal is journaled now;
  // * a store that is older than its journal, or has another history (it was rolled back, R11), is
  //   refused:
  //   STORE_ROLLED_BACK, FAILED_PRECONDITION;
  // * for a new epoch a new section is begun.
  // Errors: Journal::Open's, the engine's. `inner` outlives it.
  static absl::StatusOr<std::unique_ptr<JournaledEngine>> Open(Engine* inner,
                                                               const std::string& path);
  // Marks up to where the store is durable, so that the next start need not look.
  ~JournaledEngine() override;

  absl::StatusOr<std::unique_ptr<Snapshot>> NewSnapshot() override;
  // As Engine::Commit. What cannot be journaled is not committed: UNAVAILABLE, JOURNAL_UNWRITABLE.
  absl::StatusOr<CommitResult> Commit(const CommitRequest& request) override;
  absl::Status MergeUse(
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) override;
  absl::StatusOr<std::unique_ptr<Tail>> TailFrom(
      int64_t after, std::function<void(const TailEntry&)> on_entry) override;
  absl::Status FoldUse(
      const std::vector<std::string>& removed,
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) override;
  // The copy is good only with a journal that reaches at least to its head: once it is made, the
  // journal is marked with a revision that is not below that, so that a restore can tell an old
  // copy of the journal, or one that the store was run without (R17). UNAVAILABLE,
  // JOURNAL_UNWRITABLE: the journal could not be marked, and there is no copy.
  absl::Status Checkpoint(const std::string& path) override;

  // The journal's last entry, where its commit is not in the store: the process ended between the
  // two, or the store has lost it. Nobody knows whether it was told, so what it takes away is to be
  // committed anew before anything else that is journaled; the entry of that commit takes its
  // place. nullopt: there is none, or no longer.
  absl::optional<tollgate::store::v1::JournalCommit> unfinished() ABSL_LOCKS_EXCLUDED(mu_);
  // Cuts it off: it takes nothing away. UNAVAILABLE, JOURNAL_UNWRITABLE.
  absl::Status CutUnfinished() ABSL_LOCKS_EXCLUDED(mu_);

  // Whether Open made the journal: it knows of nothing before.
  bool created_journal() const { return created_journal_; }

 private:
  explicit JournaledEngine(Engine* inner) : inner_(inner) {}
  void OnCommitted(int64_t revision) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Engine* const inner_;
  bool created_journal_ = false;  // const once opened
  absl::Mutex mu_;  // held over a journaled commit: an entry whose commit lost its race is the last
  std::unique_ptr<Journal> journal_ ABSL_GUARDED_BY(mu_);
  absl::optional<tollgate::store::v1::JournalCommit> unfinished_ ABSL_GUARDED_BY(mu_);
  int64_t unfinished_offset_ ABSL_GUARDED_BY(mu_) = 0;  // where it begins
  int64_t committed_ ABSL_GUARDED_BY(mu_) = 0;          // the newest durable revision known here
  int64_t marked_ ABSL_GUARDED_BY(mu_) = 0;             // the journal says that this was durable
};

// What the store committed after revision `after` and a journal has to be told: as few entries as
// its size allows, none where there is nothing. An error of `give` ends it.
absl::Status FindUnjournaled(
    const View& view, int64_t after,
    const std::function<absl::Status(tollgate::store::v1::JournalCommit)>& give);

// What of a commit is journaled: tokens that existed and were changed, and cohorts. No tokens and
// no cohorts: nothing. A value that is no record grants nothing, and is passed over.
tollgate::store::v1::JournalCommit JournalEntryFor(const CommitRequest& request);

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_JOURNAL_JOURNALED_ENGINE_H_
