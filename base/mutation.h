// Deliberate faults, for proving that the simulation can see them (tests/simulation).
//
// `TOLLGATE_MUTATED("r9_floor")` is the constant false in every build of the product, so the
// compiler drops the code that it guards. Only the simulation's own copy of the cores is compiled
// with TOLLGATE_MUTATIONS; there it tells whether that mutation was chosen. Each use takes out, or
// bends, one rule of docs/enforcement.md, and stands next to the comment that names the rule.
#ifndef TOLLGATE_BASE_MUTATION_H_
#define TOLLGATE_BASE_MUTATION_H_

#ifdef TOLLGATE_MUTATIONS

#include <cstring>

namespace tollgate::base {

// The chosen mutation; null: none. Set before a world is made, on the only thread.
inline const char* chosen_mutation = nullptr;

inline bool MutationChosen(const char* name) {
  return chosen_mutation != nullptr && std::strcmp(chosen_mutation, name) == 0;
}

}  // namespace tollgate::base

#define TOLLGATE_MUTATED(name) (::tollgate::base::MutationChosen(name))

#else

#define TOLLGATE_MUTATED(name) false

#endif  // TOLLGATE_MUTATIONS

#endif  // TOLLGATE_BASE_MUTATION_H_
