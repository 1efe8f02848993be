#include "service/rpc/service_status.h"

#include <sys/stat.h>

#include <filesystem>
#include <system_error>

#include "base/proto_time.h"
#include "base/status.h"
#include "storage/live_count.h"

namespace tollgate::service {
namespace {

// What a copy is called while it is made.
constexpr char kUnfinished[] = ".tmp";

}  // namespace

std::string TroubleOf(const StorePlace& place) {
  std::string waits = place.longest_wait ? place.longest_wait() : std::string();
  if (!waits.empty()) return "the disk: " + waits;
  if (place.ready && !place.ready()) return "the service is not ready: its log says why";
  return "";
}

absl::Status AddStored(const storage::Snapshot& snapshot, const StorePlace& place,
                       tollgate::v1::ServiceStatus* status) {
  ASSIGN_OR_RETURN(const storage::LiveTotal live, storage::AllLiveTokens(snapshot));
  tollgate::v1::StoreStatus& store = *status->mutable_store();
  store.set_live_tokens(live.tokens);
  store.set_workspaces(live.workspaces);
  if (!place.folder.empty()) store.set_size_bytes(FolderBytes(place.folder));
  if (place.backup_dir.empty()) return absl::OkStatus();
  if (const absl::optional<Backup> newest = NewestBackup(place.backup_dir, place.holds_store)) {
    status->mutable_backup()->set_newest_path(newest->path);
    *status->mutable_backup()->mutable_newest_time() = base::ToProto(newest->made);
  }
  return absl::OkStatus();
}

int64_t FolderBytes(const std::string& folder) {
  int64_t bytes = 0;
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(folder, error);
  for (; !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    struct stat file{};
    if (lstat(at->path().c_str(), &file) == 0 && S_ISREG(file.st_mode)) {
      bytes += static_cast<int64_t>(file.st_blocks) * 512;
    }
  }
  return bytes;
}

absl::optional<Backup> NewestBackup(
    const std::string& backup_dir,
    const std::function<bool(const std::string& folder)>& holds_store) {
  absl::optional<Backup> newest;
  std::error_code error;
  std::filesystem::directory_iterator at(backup_dir, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    const std::string path = at->path().string();
    struct stat folder{};
    if (lstat(path.c_str(), &folder) != 0 || !S_ISDIR(folder.st_mode)) continue;
    if (at->path().extension() == kUnfinished || !holds_store(path)) continue;
    const absl::Time made = absl::TimeFromTimespec(folder.st_mtim);
    if (!newest.has_value() || made > newest->made) newest = Backup{path, made};
  }
  return newest;
}

}  // namespace tollgate::service
