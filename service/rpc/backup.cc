#include "service/rpc/backup.h"

#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "storage/command.h"

namespace tollgate::service {
namespace {

constexpr size_t kMaxName = 128;

// A plain file name: no path, not hidden, no character that means something to a shell.
bool IsPlainName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxName || name[0] == '.' || name[0] == '-') return false;
  for (const char c : name) {
    if (!absl::ascii_isalnum(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

absl::Status Failed(absl::string_view path, absl::string_view why) {
  return base::Refuse(absl::StatusCode::kUnavailable, "BACKUP_FAILED",
                      absl::StrCat("cannot make the backup ", path, ": ", why));
}

// The audit entry of a backup: a commit of its own.
class BackupNoted : public storage::Command {
 public:
  BackupNoted(std::string actor, std::string origin, std::string path)
      : actor_(std::move(actor)), origin_(std::move(origin)), path_(std::move(path)) {}
  absl::string_view name() const override { return "backup_noted"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override {
    store::v1::AuditRecord entry;
    entry.set_actor(actor_);
    entry.set_origin(origin_);
    entry.set_action("backup.create");
    (*entry.mutable_details())["path"] = path_;
    effects.Audit(std::move(entry));
    return absl::OkStatus();
  }

 private:
  const std::string actor_;
  const std::string origin_;
  const std::string path_;
};

}  // namespace

bool BackupLine::Submit(std::function<void()> backup) {
  absl::MutexLock lock(&mu_);
  if (under_way_) {
    if (waiting_.size() >= max_waiting_) return false;
    waiting_.push_back(std::move(backup));
    return true;
  }
  if (!executor_->Submit([this] { Run(); })) return false;
  waiting_.push_back(std::move(backup));
  under_way_ = true;
  return true;
}

void BackupLine::Run() {
  while (true) {
    std::function<void()> next;
    {
      absl::MutexLock lock(&mu_);
      under_way_ = !waiting_.empty();
      if (!under_way_) return;
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    next();
  }
}

absl::StatusOr<tollgate::v1::CreateBackupResponse> CreateBackup(
    const BackupPlace& place, const tollgate::v1::CreateBackupRequest& request) {
  if (place.backup_dir.empty()) {
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "BACKUPS_NOT_CONFIGURED",
                        "refused: this service was not told where backups go. Start it with "
                        "--backup-dir DIR");
  }
  std::string name = request.directory_name();
  if (name.empty()) {
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot,
                     place.engine->NewSnapshot());
    name = absl::StrCat(absl::FormatTime("%Y%m%dT%H%M%SZ", place.now, absl::UTCTimeZone()), "-r",
                        snapshot->revision());
  }
  if (!IsPlainName(name)) {
    return base::RefuseField(
        "BACKUP_NAME_MALFORMED", "directory_name",
        "is no plain file name: 1 to 128 of A-Z a-z 0-9 . _ -, beginning with a "
        "letter, a digit or _");
  }
  const std::string path = (std::filesystem::path(place.backup_dir) / name).string();
  std::error_code error;
  std::filesystem::create_directories(place.backup_dir, error);
  if (error) return Failed(path, error.message());
  // A backup that is known to fail is not audited; the engine checks again.
  if (std::filesystem::exists(path, error)) {
    return base::Refuse(
        absl::StatusCode::kAlreadyExists, "BACKUP_EXISTS",
        absl::StrCat("cannot make the backup ", path, ": it exists. Give a name that does not"));
  }
  RETURN_IF_ERROR(place.wanted());
  ASSIGN_OR_RETURN(
      const storage::Committed noted,
      place.sequencer->Run(std::make_shared<BackupNoted>(place.actor, place.origin, path)));
  RETURN_IF_ERROR(place.wanted());
  const absl::Status made = place.engine->Checkpoint(path);
  if (absl::IsUnavailable(made)) return Failed(path, made.message());
  RETURN_IF_ERROR(made);
  tollgate::v1::CreateBackupResponse response;
  response.set_revision(noted.revision);  // the checkpoint was made after it
  response.set_path(path);
  response.set_epoch(place.epoch);
  return response;
}

}  // namespace tollgate::service
