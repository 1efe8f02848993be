// Detects a fork without a system call.
#ifndef TOLLGATE_VALIDATOR_EMBEDDED_FORK_GUARD_H_
#define TOLLGATE_VALIDATOR_EMBEDDED_FORK_GUARD_H_

#include <atomic>
#include <memory>

#include "absl/status/statusor.h"

namespace tollgate::edge {

// Tells its own process from a child that was forked afterwards, by a page that is wiped in the
// child. Thread-safe; one read of memory.
class ForkMark {
 public:
  // FAILED_PRECONDITION, NO_WIPE_ON_FORK, where the kernel cannot wipe a page on fork;
  // RESOURCE_EXHAUSTED, NO_MEMORY.
  static absl::StatusOr<std::unique_ptr<ForkMark>> Create();
  ~ForkMark();
  ForkMark(const ForkMark&) = delete;
  ForkMark& operator=(const ForkMark&) = delete;

  bool InChild() const { return word_->load(std::memory_order_relaxed) == 0; }

 private:
  explicit ForkMark(std::atomic<int>* word) : word_(word) {}
  std::atomic<int>* const word_;  // in a page of its own
};

// Call when an edge starts, once nothing of it can be refused any more: from then on a child of
// this process counts as forked from running gRPC.
void NoteGrpcRuns();

// Whether this process was forked, at some generation, from one in which gRPC ran (an edge had
// started, or the host used gRPC). In such a child gRPC's threads are gone and its state is that of
// another moment, so nothing that uses gRPC may start. A fork handler, which the library installs
// when it is loaded, notes the fork. Thread-safe.
bool ForkedFromRunningGrpc();

}  // namespace tollgate::edge

#endif  // TOLLGATE_VALIDATOR_EMBEDDED_FORK_GUARD_H_
