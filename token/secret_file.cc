#include "token/secret_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/status.h"

namespace tollgate::token {
namespace {

constexpr absl::string_view kOrByName =
    "; where it is a mounted Kubernetes Secret or lies on a volume with an fsGroup: "
    "--group-readable-secrets";

std::string ErrnoText(int error) {
  char buffer[128];
  return strerror_r(error, buffer, sizeof(buffer));
}

// A descriptor that closes itself.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() { Close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  bool Close() {
    const int fd = fd_;
    fd_ = -1;
    return fd < 0 || close(fd) == 0;
  }

 private:
  int fd_;
};

std::string Folder(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Makes a new name in the folder survive a power loss.
bool SyncFolder(const std::string& path) {
  File folder(open(Folder(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder.open() && fsync(folder.fd()) == 0;
}

bool WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// Gives the file its name unless the name is taken. 0, or the error.
int NameIfFree(const std::string& temporary, const std::string& path) {
  if (link(temporary.c_str(), path.c_str()) == 0) {
    unlink(temporary.c_str());
    return 0;
  }
  int error = errno;
  if (error == EEXIST) return error;
  // A file system without hard links.
  if (renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) {
    return 0;
  }
  return errno == EEXIST ? EEXIST : error;
}

}  // namespace

absl::Status SecretFile::Refused(absl::string_view reason, absl::string_view why) const {
  return base::Refuse(absl::StatusCode::kFailedPrecondition, absl::StrCat(reasons_, "_", reason),
                      absl::StrCat(what_, " ", path_, ": ", why));
}

absl::Status SecretFile::Unwritable(absl::string_view doing, int error) const {
  const absl::string_view advice =
      error == EROFS ? ". Its volume is read-only: make or change the file where the volume comes "
                       "from (a Kubernetes Secret, say), and start again"
      : error == EACCES || error == EPERM ? ". Name a file in a folder that this process may write"
                                          : "";
  return Refused("UNWRITABLE", absl::StrCat(doing, ": ", ErrnoText(error), advice));
}

absl::Status SecretFile::CheckReaders(const struct stat& info) const {
  if (!S_ISREG(info.st_mode)) return Refused("PERMISSIONS", "is no regular file");
  const mode_t mode = info.st_mode & 07777;
  const bool with_group = readers_ == SecretReaders::kOwnerAndGroup;
  const bool private_enough =
      with_group ? (mode & ~mode_t{0660}) == 0 && (mode & 0440) != 0 : mode == 0600 || mode == 0400;
  if (!private_enough) {
    const std::string has = absl::StrCat("has mode ", absl::Hex(mode >> 6 & 7),
                                         absl::Hex(mode >> 3 & 7), absl::Hex(mode & 7), ", which ");
    if (with_group) {
      return Refused("PERMISSIONS",
                     absl::StrCat(has,
                                  "its owner and its group alone must be able to read. chmod "
                                  "640 ",
                                  path_));
    }
    const bool group_alone = (mode & ~mode_t{0660}) == 0;
    return Refused("PERMISSIONS",
                   absl::StrCat(has, "its owner alone must be able to read. chmod 600 ", path_,
                                group_alone ? kOrByName : ""));
  }
  // root may read what its users keep; another user's file is a mistake of anybody else's.
  if (info.st_uid != geteuid() && !(with_group && (info.st_uid == 0 || geteuid() == 0))) {
    return Refused("PERMISSIONS",
                   absl::StrCat("belongs to user ", info.st_uid, ", and this process runs as ",
                                geteuid(), ". chown it, or run as its owner"));
  }
  return absl::OkStatus();
}

absl::StatusOr<base::SecretBytes> SecretFile::Read(size_t max_bytes) const {
  // Not blocking: a FIFO in the place of the file must not hang the start.
  const int follow = readers_ == SecretReaders::kOwner ? O_NOFOLLOW : 0;
  File file(open(path_.c_str(), O_RDONLY | follow | O_NONBLOCK | O_CLOEXEC));
  if (!file.open()) {
    const int error = errno;
    if (error == ENOENT) {
      return base::Refuse(absl::StatusCode::kNotFound, absl::StrCat(reasons_, "_NOT_FOUND"),
                          absl::StrCat(what_, " ", path_, ": there is no such file"));
    }
    if (error == ELOOP && follow != 0) {
      return Refused("PERMISSIONS",
                     absl::StrCat("is a symbolic link. Name the file itself, so that nobody can "
                                  "put another in its place",
                                  kOrByName));
    }
    return Refused("UNREADABLE", absl::StrCat("cannot be opened: ", ErrnoText(error)));
  }
  struct stat info;
  if (fstat(file.fd(), &info) != 0) {
    return Refused("UNREADABLE", ErrnoText(errno));
  }
  RETURN_IF_ERROR(CheckReaders(info));
  if (static_cast<uint64_t>(info.st_size) > max_bytes) {
    return Refused("MALFORMED", absl::StrCat("is larger than ", max_bytes, " bytes"));
  }
  // One byte more than there should be, to see a file that grows meanwhile.
  base::SecretBytes text(static_cast<size_t>(info.st_size) + 1);
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = read(file.fd(), text.MutableSecret().data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Refused("UNREADABLE", ErrnoText(errno));
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  if (size != static_cast<size_t>(info.st_size)) {
    return Refused("UNREADABLE", "changed while it was read. Try again");
  }
  return base::SecretBytes::CopyOf(text.RevealSecret().substr(0, size));
}

absl::StatusOr<std::string> SecretFile::WriteBeside(absl::string_view bytes) const {
  const std::string temporary = absl::StrCat(path_, ".new-", base::SystemRandom().Hex(8));
  File file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.open()) {
    return Unwritable("cannot be created", errno);
  }
  // A umask may have taken the owner's own bits away; it cannot have added any.
  if (fchmod(file.fd(), 0600) != 0 || !WriteAll(file.fd(), bytes) || fsync(file.fd()) != 0 ||
      !file.Close()) {
    const int error = errno;
    unlink(temporary.c_str());
    return Unwritable("cannot be written", error);
  }
  return temporary;
}

absl::StatusOr<bool> SecretFile::Create(absl::string_view bytes) const {
  ASSIGN_OR_RETURN(const std::string temporary, WriteBeside(bytes));
  const int error = NameIfFree(temporary, path_);
  if (error != 0) {
    unlink(temporary.c_str());
    if (error != EEXIST) {
      return Unwritable("cannot be named", error);
    }
  }
  if (!SyncFolder(path_)) {
    return Unwritable("its folder cannot be synced", errno);
  }
  return error == 0;
}

absl::Status SecretFile::Replace(absl::string_view bytes) const {
  ASSIGN_OR_RETURN(const std::string temporary, WriteBeside(bytes));
  if (rename(temporary.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    unlink(temporary.c_str());
    return Unwritable("cannot be named", error);
  }
  if (!SyncFolder(path_)) {
    return Unwritable("its folder cannot be synced", errno);
  }
  return absl::OkStatus();
}

void SecretFile::SyncName() const { SyncFolder(path_); }

}  // namespace tollgate::token
