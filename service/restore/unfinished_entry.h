// What a start does about a journal whose last entry is not in the store.
#ifndef TOLLGATE_SERVICE_RESTORE_UNFINISHED_ENTRY_H_
#define TOLLGATE_SERVICE_RESTORE_UNFINISHED_ENTRY_H_

#include "absl/status/status.h"
#include "storage/journal/journaled_engine.h"
#include "storage/sequencer.h"

namespace tollgate::service {

// Commits anew what the entry takes away, with an audit entry and a warning in the log; an entry
// that takes nothing away is cut off. Nothing else that is journaled may be committed before.
// `sequencer` writes to `journaled`. Waits for the commit. Errors: the sequencer's, the journal's.
absl::Status FinishJournal(storage::JournaledEngine& journaled, storage::Sequencer& sequencer);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RESTORE_UNFINISHED_ENTRY_H_
