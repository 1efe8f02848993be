// Keeping secrets out of core dumps.
#ifndef TOLLGATE_BASE_CORE_DUMP_H_
#define TOLLGATE_BASE_CORE_DUMP_H_

namespace tollgate::base {

// Makes this process leave no core dump, to a file or to a pipe. Core files are limited to size
// zero; a handler to which the kernel pipes dumps (core_pattern, core(5)) may ignore that limit, so
// the process is also marked as not dumpable (prctl(2)). The mark also keeps out a debugger of the
// same user. A program's main calls this before it holds a token string; a library never does.
void ForbidCoreDumps();

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_CORE_DUMP_H_
