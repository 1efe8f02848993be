// Begins a new history on an old store: from a backup, or in place after it was rolled back (R17).
#ifndef TOLLGATE_SERVICE_RESTORE_RESTORE_H_
#define TOLLGATE_SERVICE_RESTORE_RESTORE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"
#include "service/restore/replay_command.h"

namespace tollgate::service {

struct RestoreOptions {
  std::string from;   // a checkpoint's folder; RestoreStore only
  std::string store;  // as StoreHome takes it; its engine keeps it in a folder
  // The journal; empty: `<store>.journal` where there is one.
  std::string journal;
  // Do without, knowing that what was revoked after the backup comes back.
  bool without_journal = false;
  // Take a journal that begins after the backup, or ends before it, knowing that what it does not
  // tell of is lost.
  bool allow_gap = false;
};

struct RestoreReport {
  std::string store;
  std::string journal;             // the one that was replayed; empty: none
  bool journal_is_beside = false;  // it lies where serving looks for it
  int64_t revision_before = 0;
  absl::Time time_before;  // of that revision's commit
  std::string epoch_before;
  std::string epoch;   // the new one
  int64_t gap_to = 0;  // with allow_gap: what is lost goes up to this revision; 0: none
  // Where it is below revision_before, the journal ends before the store it is replayed on: what
  // was revoked after this revision is known only as far as the store has it. 0 without a journal.
  int64_t journal_epoch_revision = 0;
  int64_t journal_revision = 0;  // how far the journal went
  absl::Time journal_time;       // of its last entry; the epoch where it has none
  ReplayReport replay;
};

// Copies a backup to where no store is, replays the journal on it, and gives it a new epoch. What
// is there under the store's name is whole, or nothing: it is made beside it, in
// `<store>.restoring`, and renamed. Errors, by reason:
//   BACKUP_NOT_FOUND          NOT_FOUND            there is no checkpoint in `from`
//   RESTORE_TARGET_NOT_EMPTY  FAILED_PRECONDITION  something is in `store`
//   RESTORE_FAILED            UNAVAILABLE          the disk
//   JOURNAL_REQUIRED          FAILED_PRECONDITION  neither a journal, nor without_journal
//   JOURNAL_OF_ANOTHER_STORE, JOURNAL_OTHER_HISTORY  FAILED_PRECONDITION  it is not this store's
//   JOURNAL_GAP               FAILED_PRECONDITION  it begins after the backup, or ends before it
//                                                  (an old copy, or the store was run without it),
//                                                  and no allow_gap
// BAD_FLAG where the store is in no folder, and those of StoreHome::At, ScanJournal and
// EngineDriver::Open.
absl::StatusOr<RestoreReport> RestoreStore(const RestoreOptions& options, base::Random& random,
                                           const base::Clock& clock);

// The same for a store that lies there already: one commit replays and takes the epoch. A service
// that was ended hard leaves its journal up to kJournalMarkEvery commits behind the store, so that
// is no gap here; that the store has taken away something the journal does not know is one.
absl::StatusOr<RestoreReport> BeginNewEpoch(const RestoreOptions& options, base::Random& random,
                                            const base::Clock& clock);

// A time as both commands print it: UTC, to the second.
std::string TimeForPeople(absl::Time time);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RESTORE_RESTORE_H_
