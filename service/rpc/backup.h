// Backups of the running service: checkpoints in one folder, by name.
#ifndef TOLLGATE_SERVICE_RPC_BACKUP_H_
#define TOLLGATE_SERVICE_RPC_BACKUP_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "storage/engine.h"
#include "storage/sequencer.h"
#include "tollgate/v1/operations_service.pb.h"

namespace tollgate::service {

// Runs backups one at a time, in the order in which they came, because each reads the whole store.
// Thread-safe.
class BackupLine {
 public:
  // `executor` outlives this, and runs none of its work after it has stopped. At most `max_waiting`
  // backups wait for the one under way.
  BackupLine(base::Executor* executor, size_t max_waiting)
      : executor_(executor), max_waiting_(max_waiting) {}
  // False: too many wait, and `backup` never runs.
  bool Submit(std::function<void()> backup) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);

  base::Executor* const executor_;
  const size_t max_waiting_;
  absl::Mutex mu_;
  std::deque<std::function<void()>> waiting_ ABSL_GUARDED_BY(mu_);
  bool under_way_ ABSL_GUARDED_BY(mu_) = false;
};

// What CreateBackup works with.
struct BackupPlace {
  storage::Engine* engine = nullptr;
  storage::Sequencer* sequencer = nullptr;
  std::string backup_dir;
  std::string epoch;
  absl::Time now;
  std::string actor;   // who asked
  std::string origin;  // from where
  // Asked between the steps; an error ends the backup.
  std::function<absl::Status()> wanted;
};

// Makes a checkpoint in `<backup_dir>/<directory_name>`. Blocks on the disk, so it must not run on
// a gRPC thread. A backup takes the whole store out of the service, so the audit log records it
// first (`backup.create`): the backup holds that entry too, and the entry stays where the disk then
// fails.
// Errors, by reason:
//   BACKUPS_NOT_CONFIGURED  FAILED_PRECONDITION  `backup_dir` is empty
//   BACKUP_NAME_MALFORMED   INVALID_ARGUMENT     the name is no plain file name
//   BACKUP_EXISTS           ALREADY_EXISTS
//   BACKUP_FAILED           UNAVAILABLE          the disk
// and those of `wanted` and of the sequencer.
absl::StatusOr<tollgate::v1::CreateBackupResponse> CreateBackup(
    const BackupPlace& place, const tollgate::v1::CreateBackupRequest& request);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_BACKUP_H_
