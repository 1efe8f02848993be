// A kind of work on a disk, and one piece of it that is under way.
#ifndef TOLLGATE_STORAGE_DISK_JOB_H_
#define TOLLGATE_STORAGE_DISK_JOB_H_

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace tollgate::storage {

enum class DiskJobKind : uint8_t {
  kWrite,  // a change waits for it; on a sound disk it takes milliseconds
  kRead,   // an answer waits for it; on a sound disk it takes milliseconds
  kLong,   // a start, or a backup: may well take long
};

// What is done, and where. Lives as long as the DiskWork that made it.
struct DiskJob {
  DiskJobKind kind = DiskJobKind::kWrite;
  std::string doing;  // "a commit", for a sentence
  std::string place;  // a path
};

// One piece of work that has begun and not ended.
struct DiskWorkUnderWay {
  const DiskJob* job = nullptr;  // never null
  base::BootTime since;
  uint32_t slot = 0;  // no two pieces of work have the same slot and `since`
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_DISK_JOB_H_
