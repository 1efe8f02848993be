// Loaded before a program (LD_PRELOAD): while the file of TOLLGATE_TEST_BAD_DISK is there, what it
// names hangs, as on a disk that has stopped answering, or fails. A line of it is a call and how
// the path begins: `sync /tmp/x/store/`; or with an error's number, `write=28
// /tmp/x/store.journal`. Calls: sync (fsync, fdatasync, sync_file_range), write (write, pwrite,
// fallocate), read (read, pread), open, change (open for writing). A hung call goes on once the
// line or the file is gone.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace {

const char* control = nullptr;

__attribute__((constructor)) void FindControl() { control = getenv("TOLLGATE_TEST_BAD_DISK"); }

bool BeginsWith(const char* text, const char* beginning) {
  while (*beginning != '\0') {
    if (*text++ != *beginning++) return false;
  }
  return true;
}

// What the control file says of this call on this path: -1 it hangs, 0 nothing, else the error. By
// system calls only: the calls that this library stands in for are not used here.
int Fate(const char* call, const char* path) {
  if (control == nullptr) return 0;
  const long file = syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
  if (file < 0) return 0;
  char text[4096];
  const long size = syscall(SYS_read, file, text, sizeof(text) - 1);
  syscall(SYS_close, file);
  if (size <= 0) return 0;
  text[size] = '\0';
  char* rest = nullptr;
  for (char* line = strtok_r(text, "\n", &rest); line != nullptr;
       line = strtok_r(nullptr, "\n", &rest)) {
    char* const space = strchr(line, ' ');
    if (space == nullptr) continue;
    *space = '\0';
    char* const error = strchr(line, '=');
    if (error != nullptr) *error = '\0';
    if (strcmp(line, call) == 0 && BeginsWith(path, space + 1)) {
      return error == nullptr ? -1 : atoi(error + 1);
    }
  }
  return 0;
}

// False, with errno: the call fails.
bool Allowed(const char* call, const char* path) {
  while (true) {
    const int fate = Fate(call, path);
    if (fate > 0) errno = fate;
    if (fate >= 0) return fate == 0;
    const struct timespec pause = {0, 10'000'000};
    nanosleep(&pause, nullptr);
  }
}

bool Allowed(const char* call, int fd) {
  // Mostly it is not there, and then this is all that a call costs.
  if (control == nullptr || syscall(SYS_access, control, F_OK) != 0) return true;
  char link[64];
  char path[4096];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof(path) - 1);
  if (size <= 0) return true;
  path[size] = '\0';
  return Allowed(call, path);
}

}  // namespace

extern "C" int fsync(int fd) {
  if (!Allowed("sync", fd)) return -1;
  return static_cast<int>(syscall(SYS_fsync, fd));
}

extern "C" int fdatasync(int fd) {
  if (!Allowed("sync", fd)) return -1;
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

extern "C" int sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags) {
  if (!Allowed("sync", fd)) return -1;
  return static_cast<int>(syscall(SYS_sync_file_range, fd, offset, size, flags));
}

extern "C" ssize_t write(int fd, const void* bytes, size_t size) {
  if (!Allowed("write", fd)) return -1;
  return syscall(SYS_write, fd, bytes, size);
}

extern "C" ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  if (!Allowed("write", fd)) return -1;
  return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

extern "C" ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  if (!Allowed("write", fd)) return -1;
  return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

extern "C" int fallocate(int fd, int mode, off_t offset, off_t size) {
  if (!Allowed("write", fd)) return -1;
  return static_cast<int>(syscall(SYS_fallocate, fd, mode, offset, size));
}

extern "C" int fallocate64(int fd, int mode, off64_t offset, off64_t size) {
  if (!Allowed("write", fd)) return -1;
  return static_cast<int>(syscall(SYS_fallocate, fd, mode, offset, size));
}

extern "C" ssize_t read(int fd, void* bytes, size_t size) {
  if (!Allowed("read", fd)) return -1;
  return syscall(SYS_read, fd, bytes, size);
}

extern "C" ssize_t pread(int fd, void* bytes, size_t size, off_t offset) {
  if (!Allowed("read", fd)) return -1;
  return syscall(SYS_pread64, fd, bytes, size, offset);
}

extern "C" ssize_t pread64(int fd, void* bytes, size_t size, off64_t offset) {
  if (!Allowed("read", fd)) return -1;
  return syscall(SYS_pread64, fd, bytes, size, offset);
}

namespace {

int OpenAfterWait(const char* path, int flags, mode_t mode) {
  if (control != nullptr && syscall(SYS_access, control, F_OK) == 0) {
    const bool changes = (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) != O_RDONLY;
    if (!Allowed("open", path) || (changes && !Allowed("change", path))) return -1;
  }
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

}  // namespace

extern "C" int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return OpenAfterWait(path, flags, mode);
}

extern "C" int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return OpenAfterWait(path, flags | O_LARGEFILE, mode);
}
