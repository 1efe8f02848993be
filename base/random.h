// Randomness, injected, so that a simulation can replay it from a seed.
#ifndef TOLLGATE_BASE_RANDOM_H_
#define TOLLGATE_BASE_RANDOM_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/types/span.h"

namespace tollgate::base {

// A source of random bytes. Each implementation states its thread safety; SystemRandom() is
// thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  // Fills `out` with uniform bytes.
  virtual void Fill(absl::Span<uint8_t> out) = 0;

  // Uniform in [0, bound); bound > 0. Unbiased.
  uint64_t Uniform(uint64_t bound);
  // Uniform in [0, 1).
  double UniformReal();
  // `n` random bytes as 2n lower-case hex digits.
  std::string Hex(size_t n);
};

// libsodium's generator. Never destroyed.
Random& SystemRandom();

// A deterministic generator for tests and simulation: the same seed gives the same bytes on every
// machine. Never for secrets. Not thread-safe.
class SeededRandom : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  void Fill(absl::Span<uint8_t> out) override;

 private:
  uint64_t Next();
  uint64_t state_;
};

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_RANDOM_H_
