#include "service/rpc/backup.h"

#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate {
namespace {

constexpr size_t kMaxName = 128;

// No path, no hidden file, nothing that a shell would see something in.
bool IsPlainName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxName || name[0] == '.' || name[0] == '-') return false;
  for (const char c : name) {
    if (!absl::ascii_isalnum(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

absl::Status Failed(absl::string_view path, absl::string_view why) {
  return Refuse(absl::StatusCode::kUnavailable, "BACKUP_FAILED",
                absl::StrCat("cannot make the backup ", path, ": ", why));
}

}  // namespace

absl::StatusOr<tollgate::v1::CreateBackupResponse> CreateBackup(
    Engine& engine, const std::string& backup_dir, const std::string& epoch, absl::Time now,
    const tollgate::v1::CreateBackupRequest& request) {
  if (backup_dir.empty()) {
    return Refuse(absl::StatusCode::kFailedPrecondition, "BACKUPS_NOT_CONFIGURED",
                  "refused: this service was not told where backups go. Start it with "
                  "--backup-dir DIR");
  }
  tollgate::v1::CreateBackupResponse response;
  {
    // The checkpoint is made after it: everything up to here is in it.
    ASSIGN_OR_RETURN(const std::unique_ptr<Snapshot> snapshot, engine.NewSnapshot());
    response.set_revision(snapshot->revision());
  }
  std::string name = request.directory_name();
  if (name.empty()) {
    name = absl::StrCat(absl::FormatTime("%Y%m%dT%H%M%SZ", now, absl::UTCTimeZone()), "-r",
                        response.revision());
  }
  if (!IsPlainName(name)) {
    return RefuseField("BACKUP_NAME_MALFORMED", "directory_name",
                       "is no plain file name: 1 to 128 of A-Z a-z 0-9 . _ -, beginning with a "
                       "letter, a digit or _");
  }
  const std::string path = (std::filesystem::path(backup_dir) / name).string();
  std::error_code error;
  std::filesystem::create_directories(backup_dir, error);
  if (error) return Failed(path, error.message());
  const absl::Status made = engine.Checkpoint(path);
  if (absl::IsUnavailable(made)) return Failed(path, made.message());
  RETURN_IF_ERROR(made);
  response.set_path(path);
  response.set_epoch(epoch);
  return response;
}

}  // namespace tollgate
