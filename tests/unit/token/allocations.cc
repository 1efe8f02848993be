// In a unit of its own: inlined into the code that allocates, gcc takes the pair for a mismatch.
#include "tests/unit/token/allocations.h"

#include <cstdlib>
#include <new>

namespace {
thread_local int allocations = 0;
}  // namespace

void* operator new(size_t size) {
  ++allocations;
  void* p = std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace tollgate::token {

int AllocationsOfThisThread() { return allocations; }

}  // namespace tollgate::token
