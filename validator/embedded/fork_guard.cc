#include "validator/embedded/fork_guard.h"

#include <grpc/grpc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate::edge {
namespace {

size_t PageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

std::atomic<bool> grpc_runs{false};
std::atomic<bool> forked_from_grpc{false};

// Runs in the parent, before the fork, while the parent's threads are still there, so it may take
// gRPC's own lock. A child inherits the mark, and only a child reads forked_from_grpc. Where gRPC
// is known to run, its lock is not taken: in a child, a thread that is gone may hold the lock, and
// that child's own next fork would wait for it for ever.
void BeforeFork() {
  if (!grpc_runs.load(std::memory_order_relaxed) && grpc_is_initialized() != 0) NoteGrpcRuns();
}

void InChild() {
  if (grpc_runs.load(std::memory_order_relaxed)) {
    forked_from_grpc.store(true, std::memory_order_relaxed);
  }
}

// At load, because the host may use gRPC, and fork, long before it starts an edge.
[[maybe_unused]] const int installed = pthread_atfork(BeforeFork, nullptr, InChild);

}  // namespace

absl::StatusOr<std::unique_ptr<ForkMark>> ForkMark::Create() {
  void* page =
      mmap(nullptr, PageSize(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) {
    return base::Refuse(absl::StatusCode::kResourceExhausted, "NO_MEMORY",
                        absl::StrCat("a page cannot be mapped: ", std::strerror(errno)));
  }
  if (madvise(page, PageSize(), MADV_WIPEONFORK) != 0) {
    const int error = errno;
    munmap(page, PageSize());
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "NO_WIPE_ON_FORK",
                        absl::StrCat("the kernel cannot wipe a page on fork (Linux 4.14 can): ",
                                     std::strerror(error)));
  }
  return std::unique_ptr<ForkMark>(new ForkMark(new (page) std::atomic<int>(1)));
}

ForkMark::~ForkMark() { munmap(word_, PageSize()); }

void NoteGrpcRuns() { grpc_runs.store(true, std::memory_order_relaxed); }

bool ForkedFromRunningGrpc() { return forked_from_grpc.load(std::memory_order_relaxed); }

}  // namespace tollgate::edge
