// Invariants: conditions that must be true, checked where they are relied on, in release builds
// too.
//   TOLLGATE_INVARIANT(head.revision() == expected, "a commit's revision is the head's plus one");
// When the condition is false, one line goes to the log and the process ends at once with
// kExitInvariantBroken, as it does after a failed write: a process that went on would decide in
// doubt.
//
// The condition is never about a caller's mistake, a peer's message or a file's content: those are
// errors (base/status.h). The condition is cheap and has no side effect. While it holds, it costs
// one predicted branch; the rest is out of line.
#ifndef TOLLGATE_BASE_INVARIANT_H_
#define TOLLGATE_BASE_INVARIANT_H_

#include "absl/base/attributes.h"
#include "absl/base/optimization.h"

namespace tollgate::base {

// The exit code of a process that found an invariant broken (docs/operations.md).
inline constexpr int kExitInvariantBroken = 70;

// Writes {"level":"error","message":"invariant broken: WHAT","condition":…,"file":…,"line":…} and
// ends the process: no destructor runs, nothing is flushed to a store, no core with secrets is
// dumped. Thread-safe; the first thread's line is always whole.
[[noreturn]] ABSL_ATTRIBUTE_COLD ABSL_ATTRIBUTE_NOINLINE void InvariantBroken(const char* what,
                                                                              const char* condition,
                                                                              const char* file,
                                                                              int line);

}  // namespace tollgate::base

// `what` is a string literal that says what must be true.
#define TOLLGATE_INVARIANT(condition, what)                                       \
  do {                                                                            \
    if (ABSL_PREDICT_FALSE(!(condition))) {                                       \
      ::tollgate::base::InvariantBroken("" what, #condition, __FILE__, __LINE__); \
    }                                                                             \
  } while (false)

#endif  // TOLLGATE_BASE_INVARIANT_H_
