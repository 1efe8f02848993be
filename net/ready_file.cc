#include "net/ready_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate::net {
namespace {

absl::Status CannotWrite(absl::string_view path) {
  return base::Refuse(absl::StatusCode::kUnavailable, "SYSTEM_ERROR",
                      absl::StrCat("cannot write ", path, ": ", std::strerror(errno)));
}

// The file that is open is the one at `path`.
bool IsAt(const std::string& path, int fd) {
  struct stat there{};
  struct stat open{};
  return lstat(path.c_str(), &there) == 0 && fstat(fd, &open) == 0 && there.st_dev == open.st_dev &&
         there.st_ino == open.st_ino;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ReadyFile>> ReadyFile::Write(const std::string& path,
                                                            absl::string_view json) {
  // A name that nobody can have laid a link under.
  std::string temporary = absl::StrCat(path, ".XXXXXX");
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return CannotWrite(path);
  auto undo = absl::MakeCleanup([&] {
    close(fd);
    unlink(temporary.c_str());
  });
  fchmod(fd, 0644);
  (void)flock(fd, LOCK_EX | LOCK_NB);  // where there are no locks, nobody can tell whose it is
  while (!json.empty()) {
    const ssize_t n = write(fd, json.data(), json.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return CannotWrite(temporary);
    json.remove_prefix(static_cast<size_t>(n));
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) return CannotWrite(path);
  std::move(undo).Cancel();
  return std::unique_ptr<ReadyFile>(new ReadyFile(path, fd));
}

void ReadyFile::RemoveStale(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return;
  struct stat file{};
  if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
      IsAt(path, fd)) {
    unlink(path.c_str());
  }
  close(fd);
}

ReadyFile::~ReadyFile() {
  if (IsAt(path_, fd_)) unlink(path_.c_str());
  close(fd_);
}

}  // namespace tollgate::net
