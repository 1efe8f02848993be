// What all fuzz targets share: one entry point, which must return, and claims that end the process
// when they do not hold.
#ifndef TOLLGATE_TESTS_FUZZ_FUZZ_H_
#define TOLLGATE_TESTS_FUZZ_FUZZ_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>

// Looks at one input, whatever it holds. Called by libFuzzer, or by replay_main.cc.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// Ends the process by abort(), which both libFuzzer and ctest see, when `claim` does not hold.
#define FUZZ_CLAIM(claim)                                                             \
  do {                                                                                \
    if (!(claim)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim); \
      std::abort();                                                                   \
    }                                                                                 \
  } while (false)

#endif  // TOLLGATE_TESTS_FUZZ_FUZZ_H_
