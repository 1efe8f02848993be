// All mutations: the deliberate faults that the cores are compiled with here (base/mutation.h).
#ifndef TOLLGATE_TESTS_SIMULATION_MUTATIONS_H_
#define TOLLGATE_TESTS_SIMULATION_MUTATIONS_H_

#include <cstdint>
#include <vector>

namespace tollgate::simulation {

struct MutationCase {
  const char* name;
  const char* rule;
  const char* file;
  const char* what;   // what is taken out or bent
  uint64_t from = 1;  // no lower seed is known to catch it; 0: none is known, and it is left out
};
const std::vector<MutationCase>& AllMutations();

// Runs each mutation until a seed catches it, at most `seeds` seeds; prints the table. Returns how
// many were not caught.
int RunMutations(uint64_t seeds);

}  // namespace tollgate::simulation

#endif  // TOLLGATE_TESTS_SIMULATION_MUTATIONS_H_
