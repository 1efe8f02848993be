// Backups of the running service: checkpoints in one folder, by name.
#ifndef TOLLGATE_SERVICE_RPC_BACKUP_H_
#define TOLLGATE_SERVICE_RPC_BACKUP_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "storage/engine.h"
#include "tollgate/v1/operations_service.pb.h"

namespace tollgate {

// Makes a checkpoint in `<backup_dir>/<directory_name>`. Blocks on the disk: not for a gRPC thread.
// Errors, by reason:
//   BACKUPS_NOT_CONFIGURED  FAILED_PRECONDITION  `backup_dir` is empty
//   BACKUP_NAME_MALFORMED   INVALID_ARGUMENT     the name is no plain file name
//   BACKUP_EXISTS           ALREADY_EXISTS
//   BACKUP_FAILED           UNAVAILABLE          the disk
absl::StatusOr<tollgate::v1::CreateBackupResponse> CreateBackup(
    Engine& engine, const std::string& backup_dir, const std::string& epoch, absl::Time now,
    const tollgate::v1::CreateBackupRequest& request);

}  // namespace tollgate

#endif  // TOLLGATE_SERVICE_RPC_BACKUP_H_
