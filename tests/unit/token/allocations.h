// Counts calls of operator new.
#ifndef TOLLGATE_TESTS_UNIT_TOKEN_ALLOCATIONS_H_
#define TOLLGATE_TESTS_UNIT_TOKEN_ALLOCATIONS_H_

namespace tollgate::token {

// How often the calling thread has called operator new so far.
int AllocationsOfThisThread();

}  // namespace tollgate::token

#endif  // TOLLGATE_TESTS_UNIT_TOKEN_ALLOCATIONS_H_
