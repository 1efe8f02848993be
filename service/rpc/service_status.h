// GetStatus: what an operator asks first.
#ifndef TOLLGATE_SERVICE_RPC_SERVICE_STATUS_H_
#define TOLLGATE_SERVICE_RPC_SERVICE_STATUS_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "storage/engine.h"
#include "tollgate/v1/operations_service.pb.h"

namespace tollgate::service {

// What the server knows of its store beside what is in it. The functions are thread-safe, and wait
// for nothing; an empty one says that all is well.
struct StorePlace {
  std::string name;        // as after --store
  std::string folder;      // the engine's; empty: it has none
  std::string backup_dir;  // empty: no backups are made
  // Whether a folder holds a whole store, such as a backup.
  std::function<bool(const std::string& folder)> holds_store;
  // Whether the service says SERVING for `readiness`.
  std::function<bool()> ready;
  // What waits for a disk, for how long; empty: nothing does.
  std::function<std::string()> longest_wait;
};

// Adds what the store and its folders tell: sizes, counts, the newest backup. Blocks on the disk.
// Errors: the snapshot's; DATA_LOSS.
absl::Status AddStored(const storage::Snapshot& snapshot, const StorePlace& place,
                       tollgate::v1::ServiceStatus* status);

// What is known to be wrong with the store, in words, so that it is not to be read; empty: nothing.
// Thread-safe, and waits for nothing.
std::string TroubleOf(const StorePlace& place);

// What the files below `folder` take on the disk, in bytes, but not what is linked from elsewhere.
// A file that comes or goes meanwhile counts or does not.
int64_t FolderBytes(const std::string& folder);

struct Backup {
  std::string path;
  absl::Time made;
};
// The newest whole backup in `backup_dir`; nullopt: there is none.
absl::optional<Backup> NewestBackup(
    const std::string& backup_dir,
    const std::function<bool(const std::string& folder)>& holds_store);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_SERVICE_STATUS_H_
