// One run of a world with services, validators, clients and faults, all drawn from one seed.
#ifndef TOLLGATE_TESTS_SIMULATION_SIMULATION_H_
#define TOLLGATE_TESTS_SIMULATION_SIMULATION_H_

#include <cstdint>
#include <string>
#include <vector>

namespace tollgate::simulation {

struct Outcome {
  uint64_t seed = 0;
  bool broken = false;
  std::string invariant;
  std::string how;
  uint64_t hash = 0;  // of the whole history
  int64_t steps = 0;
  int64_t faults = 0;
  int64_t receipts = 0;
  int64_t admits = 0;
  int64_t denials = 0;
  int64_t holds = 0;                 // opened
  int64_t holds_judged = 0;          // believed good by their holders, of tokens that were off
  std::vector<std::string> history;  // only where it was recorded
};

// The same seed gives the same run, on every machine.
Outcome RunSeed(uint64_t seed, bool record);

}  // namespace tollgate::simulation

#endif  // TOLLGATE_TESTS_SIMULATION_SIMULATION_H_
