#include "token/digest.h"

#include <sodium.h>

#include <cstring>

#include "base/invariant.h"

namespace tollgate::token {

EdgeDigest EdgeDigest::Of(absl::string_view token_string) {
  EdgeDigest digest;
  crypto_generichash(digest.bytes_.data(), kSize,
                     reinterpret_cast<const unsigned char*>(token_string.data()),
                     token_string.size(), nullptr, 0);
  return digest;
}

absl::optional<EdgeDigest> EdgeDigest::FromBytes(absl::string_view bytes) {
  if (bytes.size() != kSize) return absl::nullopt;
  EdgeDigest digest;
  std::memcpy(digest.bytes_.data(), bytes.data(), kSize);
  return digest;
}

StoredDigest StoredDigest::Of(const EdgeDigest& edge, absl::string_view key) {
  // A short key would make a weaker digest, and tokens that nobody could find again.
  TOLLGATE_INVARIANT(key.size() == crypto_generichash_KEYBYTES, "a pepper is 32 bytes long");
  StoredDigest digest;
  crypto_generichash(digest.bytes_.data(), kSize,
                     reinterpret_cast<const unsigned char*>(edge.bytes().data()), EdgeDigest::kSize,
                     reinterpret_cast<const unsigned char*>(key.data()), key.size());
  return digest;
}

absl::optional<StoredDigest> StoredDigest::FromBytes(absl::string_view bytes) {
  if (bytes.size() != kSize) return absl::nullopt;
  StoredDigest digest;
  std::memcpy(digest.bytes_.data(), bytes.data(), kSize);
  return digest;
}

}  // namespace tollgate::token
