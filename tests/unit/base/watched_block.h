// Watches one block of memory, and tells what it held when it was freed.
#ifndef TOLLGATE_TESTS_UNIT_BASE_WATCHED_BLOCK_H_
#define TOLLGATE_TESTS_UNIT_BASE_WATCHED_BLOCK_H_

#include <cstddef>

namespace tollgate::base {

// While `watching`, the calling thread's latest block of exactly this size is watched.
inline constexpr size_t kWatchedSize = 4243;
extern thread_local bool watching;
extern thread_local void* watched;
// How many watched blocks were freed, and how many of these held anything but zeros.
extern thread_local int given_back;
extern thread_local int given_back_dirty;

}  // namespace tollgate::base

#endif  // TOLLGATE_TESTS_UNIT_BASE_WATCHED_BLOCK_H_
