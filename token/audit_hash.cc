#include "token/audit_hash.h"

#include <sodium.h>

#include <utility>

namespace tollgate::token {

std::string AuditHash(absl::string_view previous_hash, absl::string_view content) {
  std::string hash(crypto_generichash_BYTES, '\0');
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, hash.size());
  crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(previous_hash.data()),
                            previous_hash.size());
  crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(content.data()),
                            content.size());
  crypto_generichash_final(&state, reinterpret_cast<unsigned char*>(&hash[0]), hash.size());
  return hash;
}

bool AuditChain::Follows(absl::string_view content, absl::string_view hash) {
  std::string expected = AuditHash(last_hash_, content);
  if (expected != hash) return false;
  last_hash_ = std::move(expected);
  return true;
}

}  // namespace tollgate::token
