#include "base/version.h"

#ifndef TOLLGATE_VERSION
#error "the build gives TOLLGATE_VERSION: see base/CMakeLists.txt"
#endif

namespace tollgate::base {

const char kVersion[] = TOLLGATE_VERSION;

}  // namespace tollgate::base
