#include "base/random.h"

#include <sodium.h>

#include "base/invariant.h"
#include "base/secret.h"

namespace tollgate::base {
namespace {

uint64_t LittleEndian(const uint8_t (&bytes)[8]) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | bytes[i];
  return value;
}

uint64_t Draw(Random& random) {
  uint8_t bytes[8];
  random.Fill(absl::MakeSpan(bytes));
  return LittleEndian(bytes);
}

class SodiumRandom : public Random {
 public:
  SodiumRandom() { InitSecrets(); }
  void Fill(absl::Span<uint8_t> out) override { randombytes_buf(out.data(), out.size()); }
};

}  // namespace

uint64_t Random::Uniform(uint64_t bound) {
  TOLLGATE_INVARIANT(bound > 0, "a number is drawn from a range that is not empty");
  if (bound <= 1) return 0;
  // Numbers below 2^64 mod bound would make the small results likelier: drawn again.
  const uint64_t unfair = (0 - bound) % bound;
  uint64_t value;
  do {
    value = Draw(*this);
  } while (value < unfair);
  return value % bound;
}

double Random::UniformReal() {
  // 53 bits: every value is a double, so nothing rounds up to 1.
  return static_cast<double>(Draw(*this) >> 11) * 0x1.0p-53;
}

std::string Random::Hex(size_t n) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out(2 * n, '\0');
  // The bytes are drawn into the second half and spread from the front: the
  // digits written at 2i and 2i+1 never pass the byte read at n+i.
  auto* bytes = reinterpret_cast<uint8_t*>(out.data()) + n;
  Fill(absl::MakeSpan(bytes, n));
  for (size_t i = 0; i < n; ++i) {
    const uint8_t byte = bytes[i];
    out[2 * i] = kDigits[byte >> 4];
    out[2 * i + 1] = kDigits[byte & 15];
  }
  return out;
}

Random& SystemRandom() {
  static SodiumRandom* const random = new SodiumRandom;
  return *random;
}

// SplitMix64 (Steele, Lea, Flood 2014): the whole state is one word, and every
// seed, zero included, gives a full period of 2^64.
uint64_t SeededRandom::Next() {
  state_ += 0x9e3779b97f4a7c15;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void SeededRandom::Fill(absl::Span<uint8_t> out) {
  size_t i = 0;
  while (i < out.size()) {
    uint64_t word = Next();
    for (int k = 0; k < 8 && i < out.size(); ++k, word >>= 8) {
      out[i++] = static_cast<uint8_t>(word);
    }
  }
}

}  // namespace tollgate::base
