// Counts allocations, of which the hot path makes none.
#ifndef TOLLGATE_TESTS_UNIT_VALIDATOR_CORE_ALLOCATION_COUNT_H_
#define TOLLGATE_TESTS_UNIT_VALIDATOR_CORE_ALLOCATION_COUNT_H_

#include <cstdint>

namespace tollgate::validator {

// Calls of operator new on this thread so far, in the program that links this.
int64_t AllocationsOnThisThread();

}  // namespace tollgate::validator

#endif  // TOLLGATE_TESTS_UNIT_VALIDATOR_CORE_ALLOCATION_COUNT_H_
