#include "token/fingerprint.h"

#include <sodium.h>

namespace tollgate::token {
namespace {

void Add(absl::string_view part, crypto_generichash_state* state) {
  unsigned char length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<unsigned char>(part.size() >> (8 * i));
  crypto_generichash_update(state, length, sizeof(length));
  crypto_generichash_update(state, reinterpret_cast<const unsigned char*>(part.data()),
                            part.size());
}

}  // namespace

std::string Fingerprint(absl::string_view domain, absl::Span<const absl::string_view> parts) {
  std::string hash(crypto_generichash_BYTES, '\0');
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, hash.size());
  Add(domain, &state);
  for (const absl::string_view part : parts) Add(part, &state);
  crypto_generichash_final(&state, reinterpret_cast<unsigned char*>(&hash[0]), hash.size());
  return hash;
}

}  // namespace tollgate::token
