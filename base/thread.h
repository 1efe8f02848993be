// Threads that may not be had.
#ifndef TOLLGATE_BASE_THREAD_H_
#define TOLLGATE_BASE_THREAD_H_

#include <functional>
#include <thread>

#include "absl/status/statusor.h"

namespace tollgate::base {

// Runs `work` on a new thread, which the caller joins. RESOURCE_EXHAUSTED, TOO_FEW_THREADS, with
// the limit to raise: std::thread would throw, and end the process. Thread-safe.
absl::StatusOr<std::thread> StartThread(std::function<void()> work);

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_THREAD_H_
