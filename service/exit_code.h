// The documented exit codes of tollgated.
#ifndef TOLLGATE_SERVICE_EXIT_CODE_H_
#define TOLLGATE_SERVICE_EXIT_CODE_H_

#include "absl/status/status.h"
#include "net/daemon.h"

namespace tollgate::service {

// Stable: docs/operations.md tells what to do at each.
enum ExitCode : int {
  kExitOk = 0,
  kExitUnexpected = 1,
  kExitUsage = 2,
  kExitPortTaken = 3,
  kExitStoreInUse = 4,
  kExitKeyring = 5,
  kExitStoreUnusable = 6,  // from a newer version, or damaged
  kExitPlaintextRefused = 7,
  kExitJournal = 8,        // unreadable, unwritable, damaged, or another store's
  kExitRolledBack = 9,     // the store is older than what a validator has seen of it
  kExitStoreDenied = 10,   // the machine does not let it be read or written
  kExitStoreMissing = 11,  // only its journal is there
  kExitStoreWriteFailed = 70,
  kExitStopOverdue = net::kExitStopOverdue,  // stopping took longer than it may: a disk hangs
};

// The code for an error of Server::Start, or of a store command.
int ExitCodeFor(const absl::Status& status);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_EXIT_CODE_H_
