// Work that may never end, such as a write to a disk that has hung, on a thread of its own.
#ifndef TOLLGATE_BASE_WITHIN_H_
#define TOLLGATE_BASE_WITHIN_H_

#include <functional>

#include "absl/time/time.h"

namespace tollgate::base {

// Runs `work` on a thread of its own. False where it has not ended after `limit`: it goes on, and
// nobody waits for it, so it must own all that it touches. Thread-safe.
bool Within(absl::Duration limit, std::function<void()> work);

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_WITHIN_H_
