#include "tests/unit/base/watched_block.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace tollgate::base {

thread_local bool watching = false;
thread_local void* watched = nullptr;
thread_local int given_back = 0;
thread_local int given_back_dirty = 0;

}  // namespace tollgate::base

using namespace tollgate::base;  // NOLINT: the operators below stand in the global namespace

namespace {

void GiveBack(void* p) noexcept {
  if (p != nullptr && p == watched) {
    watched = nullptr;
    ++given_back;
    const auto* bytes = static_cast<const unsigned char*>(p);
    if (std::any_of(bytes, bytes + kWatchedSize, [](unsigned char c) { return c != 0; })) {
      ++given_back_dirty;
    }
  }
  std::free(p);
}

}  // namespace

void* operator new(size_t size) {
  void* p = std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) throw std::bad_alloc();
  if (watching && size == kWatchedSize) watched = p;
  return p;
}
void operator delete(void* p) noexcept { GiveBack(p); }
void operator delete(void* p, size_t) noexcept { GiveBack(p); }
