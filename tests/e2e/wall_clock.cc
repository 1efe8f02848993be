// Loaded before a program (LD_PRELOAD): its wall clock is ahead of the kernel's by what the file of
// TOLLGATE_TEST_WALL_CLOCK says, 8 bytes of seconds, which may change at any time. The boot clock
// is the kernel's.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>

namespace {

const volatile int64_t* ahead = nullptr;

__attribute__((constructor)) void OpenFile() {
  const char* path = getenv("TOLLGATE_TEST_WALL_CLOCK");
  const int file = path == nullptr ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  void* page = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (page != MAP_FAILED) ahead = static_cast<const volatile int64_t*>(page);
  close(file);
}

}  // namespace

extern "C" int clock_gettime(clockid_t id, struct timespec* time) noexcept {
  const long result = syscall(SYS_clock_gettime, id, time);
  if (result == 0 && ahead != nullptr && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
    time->tv_sec += *ahead;
  }
  return static_cast<int>(result);
}

extern "C" int gettimeofday(struct timeval* __restrict time, void* __restrict) noexcept {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

extern "C" time_t time(time_t* result) noexcept {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result != nullptr) *result = now.tv_sec;
  return now.tv_sec;
}
