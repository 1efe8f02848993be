// Loaded before a program (LD_PRELOAD): while the file of TOLLGATE_TEST_HUNG_DISK is there, what it
// names hangs, as on a disk that has stopped answering. A line of it is a call and how the path
// begins: `sync /tmp/x/store/`. Calls: sync (fsync, fdatasync, sync_file_range), write (write,
// pwrite), read (read, pread), open. A hung call goes on once the line or the file is gone.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
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

__attribute__((constructor)) void FindControl() { control = getenv("TOLLGATE_TEST_HUNG_DISK"); }

// Whether the control file says that this call hangs on this path. System calls only: the calls
// that this library stands in for are not used here.
bool Hangs(const char* call, const char* path) {
  if (control == nullptr) return false;
  const long file = syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
  if (file < 0) return false;
  char text[4096];
  const long size = syscall(SYS_read, file, text, sizeof(text) - 1);
  syscall(SYS_close, file);
  if (size <= 0) return false;
  text[size] = '\0';
  char* rest = nullptr;
  for (char* line = strtok_r(text, "\n", &rest); line != nullptr;
       line = strtok_r(nullptr, "\n", &rest)) {
    char* const space = strchr(line, ' ');
    if (space == nullptr) continue;
    *space = '\0';
    if (strcmp(line, call) == 0 && strncmp(path, space + 1, strlen(space + 1)) == 0) return true;
  }
  return false;
}

void WaitWhileHung(const char* call, const char* path) {
  while (Hangs(call, path)) {
    const struct timespec pause = {0, 10'000'000};
    nanosleep(&pause, nullptr);
  }
}

void WaitWhileHung(const char* call, int fd) {
  // Mostly it is not there, and then this is all that a call costs.
  if (control == nullptr || syscall(SYS_access, control, F_OK) != 0) return;
  char link[64];
  char path[4096];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof(path) - 1);
  if (size <= 0) return;
  path[size] = '\0';
  WaitWhileHung(call, path);
}

}  // namespace

extern "C" int fsync(int fd) {
  WaitWhileHung("sync", fd);
  return static_cast<int>(syscall(SYS_fsync, fd));
}

extern "C" int fdatasync(int fd) {
  WaitWhileHung("sync", fd);
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

extern "C" int sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags) {
  WaitWhileHung("sync", fd);
  return static_cast<int>(syscall(SYS_sync_file_range, fd, offset, size, flags));
}

extern "C" ssize_t write(int fd, const void* bytes, size_t size) {
  WaitWhileHung("write", fd);
  return syscall(SYS_write, fd, bytes, size);
}

extern "C" ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  WaitWhileHung("write", fd);
  return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

extern "C" ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  WaitWhileHung("write", fd);
  return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

extern "C" ssize_t read(int fd, void* bytes, size_t size) {
  WaitWhileHung("read", fd);
  return syscall(SYS_read, fd, bytes, size);
}

extern "C" ssize_t pread(int fd, void* bytes, size_t size, off_t offset) {
  WaitWhileHung("read", fd);
  return syscall(SYS_pread64, fd, bytes, size, offset);
}

extern "C" ssize_t pread64(int fd, void* bytes, size_t size, off64_t offset) {
  WaitWhileHung("read", fd);
  return syscall(SYS_pread64, fd, bytes, size, offset);
}

namespace {

int OpenAfterWait(const char* path, int flags, mode_t mode) {
  if (control != nullptr && syscall(SYS_access, control, F_OK) == 0) WaitWhileHung("open", path);
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
