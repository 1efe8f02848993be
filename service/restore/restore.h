// Begins a new history on an old store: from a backup, or in place after a roll-back (R17).
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
  // Restore without a journal, knowing that what was revoked after the backup comes back.
  bool without_journal = false;
  // Take a journal that begins after the backup or ends before it, knowing that the revocations it
  // does not hold are lost.
  bool allow_gap = false;
  // Epochs whose validators are to be taken over, by reset, though the store never had them: a
  // drill's, or one that no journal tells of (R19).
  std::vector<std::string> accept_epochs;
};

struct RestoreReport {
  std::string store;
  std::string journal;             // the journal that was replayed; empty: none
  bool journal_is_beside = false;  // it lies where serving looks for it
  int64_t revision_before = 0;
  absl::Time time_before;  // of that revision's commit
  std::string epoch_before;
  std::string epoch;   // the new one
  int64_t gap_to = 0;  // with allow_gap: revocations up to this revision are lost; 0: none
  // How far the journal knows the epoch before. Below revision_before, the journal ends before the
  // store that it is replayed on: revocations after this revision are known only as far as the
  // store has them. 0 without a journal.
  int64_t journal_epoch_revision = 0;
  int64_t journal_revision = 0;  // how far the journal went
  absl::Time journal_time;       // of its last entry; the epoch where it has none
  ReplayReport replay;
};

// Copies a backup to a place where no store is, replays the journal on the copy, and gives it a new
// epoch. The store's name never shows half a store: the copy is made beside it, in
// `<store>.restoring`, and renamed. Errors, by reason:
//   BACKUP_NOT_FOUND          NOT_FOUND            there is no checkpoint in `from`
//   RESTORE_TARGET_NOT_EMPTY  FAILED_PRECONDITION  something is in `store`
//   RESTORE_FAILED            UNAVAILABLE          the disk
//   JOURNAL_REQUIRED          FAILED_PRECONDITION  neither a journal, nor without_journal
//   JOURNAL_OF_ANOTHER_STORE, JOURNAL_OTHER_HISTORY  FAILED_PRECONDITION  not this store's journal
//   JOURNAL_GAP               FAILED_PRECONDITION  it begins after the backup, or ends before it
//                                                  (an old copy, or the store was run without it),
//                                                  and no allow_gap
// BAD_FLAG where the store is in no folder; the errors of StoreHome::At, ScanJournal and
// EngineDriver::Open.
absl::StatusOr<RestoreReport> RestoreStore(const RestoreOptions& options, base::Random& random,
                                           const base::Clock& clock);

// The same for a store in place: one commit replays the journal and begins the epoch. A service
// that was killed leaves its journal up to kJournalMarkEvery commits behind the store, so a journal
// that ends that early is no gap here. It is a gap where the store has taken something away that
// the journal does not hold.
absl::StatusOr<RestoreReport> BeginNewEpoch(const RestoreOptions& options, base::Random& random,
                                            const base::Clock& clock);

// A time as both commands print it: in UTC, to the second.
std::string TimeForPeople(absl::Time time);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RESTORE_RESTORE_H_
