// In a file of its own: where the compiler sees both a replaced operator new and its callers, it
// takes the pair of malloc and delete for a mistake.
#include "tests/unit/validator/core/allocation_count.h"

#include <cstdlib>
#include <new>

namespace tollgate::validator {
namespace {
thread_local int64_t allocations = 0;
}  // namespace

int64_t AllocationsOnThisThread() { return allocations; }

}  // namespace tollgate::validator

void* operator new(size_t size) {
  ++tollgate::validator::allocations;
  void* p = std::malloc(size);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
// The kind that does not throw too: whatever libraries make with it comes back to the delete below.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++tollgate::validator::allocations;
  return std::malloc(size);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
