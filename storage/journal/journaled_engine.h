// An engine that also journals the changes that take permission away (R17).
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

// After this many commits without an entry, the journal gets a mark that says how far the store is.
// A journal that the store was always run with thus ends at most this many revisions before the
// store's head.
inline constexpr int64_t kJournalMarkEvery = 1024;

// Passes every call on to the inner engine. A commit that changes existing tokens, revokes a
// cohort, or changes who may do what, is journaled and synced *before* it is committed, so
// everything that the service has said is taken away is in the journal, whichever disk is lost.
// Other commits cost nothing more (but for one mark in 1024). docs/adr/0006-journal.md gives the
// reasons for this order. Thread-safe.
class JournaledEngine : public Engine {
 public:
  // Opens the journal for this store, and brings the two together:
  // * a last entry whose commit is not in the store is kept as unfinished();
  // * what was committed without a journal is journaled now;
  // * a store that is older than its journal, or has another history (it was rolled back, R11), is
  //   refused:
  //   STORE_ROLLED_BACK, FAILED_PRECONDITION;
  // * a new epoch begins a new section.
  // Errors: Journal::Open's, the engine's. `inner` outlives this, and so does `work`, which is told
  // of the journal's writes and may be null.
  static absl::StatusOr<std::unique_ptr<JournaledEngine>> Open(Engine* inner,
                                                               const std::string& path,
                                                               DiskWork* work = nullptr);
  // Marks how far the store is durable, so that the next start need not search the store.
  ~JournaledEngine() override;

  absl::StatusOr<std::unique_ptr<Snapshot>> NewSnapshot() override;
  // As Engine::Commit. A commit that cannot be journaled is not made: UNAVAILABLE,
  // JOURNAL_UNWRITABLE.
  absl::StatusOr<CommitResult> Commit(const CommitRequest& request) override;
  absl::Status MergeUse(
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) override;
  absl::StatusOr<std::unique_ptr<Tail>> TailFrom(
      int64_t after, std::function<void(const TailEntry&)> on_entry) override;
  absl::Status FoldUse(
      const std::vector<std::string>& removed,
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) override;
  // Copies the store, and then marks the journal with a revision not below the copy's head. The
  // copy is good only with a journal that reaches that far; a restore can thereby tell an old copy
  // of the journal, or a journal that the store was run without (R17). UNAVAILABLE,
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
  absl::Mutex mu_;  // held over a journaled commit, so that the entry of a commit that lost its
                    // race is the last one.
  std::unique_ptr<Journal> journal_ ABSL_GUARDED_BY(mu_);
  absl::optional<tollgate::store::v1::JournalCommit> unfinished_ ABSL_GUARDED_BY(mu_);
  int64_t unfinished_offset_ ABSL_GUARDED_BY(mu_) = 0;  // where it begins
  int64_t committed_ ABSL_GUARDED_BY(mu_) = 0;          // the newest durable revision known here
  int64_t marked_ ABSL_GUARDED_BY(mu_) = 0;             // the journal says that this was durable
};

// Finds what the store committed after revision `after` and the journal must be told. Gives it in
// as few entries as their size limit allows; in none where there is nothing. An error of `give`
// ends the search.
absl::Status FindUnjournaled(
    const View& view, int64_t after,
    const std::function<absl::Status(tollgate::store::v1::JournalCommit)>& give);

// The entry for a commit: the existing tokens that it changes, its cohorts and bindings. An entry
// without any of them: there is nothing to journal. A value that is not a record grants nothing,
// and is passed over.
tollgate::store::v1::JournalCommit JournalEntryFor(const CommitRequest& request);

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_JOURNAL_JOURNALED_ENGINE_H_
