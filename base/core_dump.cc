#include "base/core_dump.h"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace tollgate::base {

void ForbidCoreDumps() {
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
}

}  // namespace tollgate::base
