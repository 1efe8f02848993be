// Keeping secrets out of core dumps.
#ifndef TOLLGATE_BASE_CORE_DUMP_H_
#define TOLLGATE_BASE_CORE_DUMP_H_

namespace tollgate::base {

// This process leaves no core dump, whoever would take it: the limit of zero holds for files only,
// and a handler to which the kernel pipes dumps (core_pattern, core(5)) may ignore it; so the
// process is also marked as not dumpable (prctl(2)), which besides keeps a debugger of the same
// user out. For a program's main, before it holds a token string; not for a library.
void ForbidCoreDumps();

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_CORE_DUMP_H_
