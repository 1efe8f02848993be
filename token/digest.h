// Digests of token strings. Each is a type of its own, so that one is never taken for the other.
#ifndef TOLLGATE_TOKEN_DIGEST_H_
#define TOLLGATE_TOKEN_DIGEST_H_

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace tollgate::token {

// BLAKE2b-256 (RFC 7693) of the token string, unkeyed: the only trace of the token string that ever
// leaves a validator (I6). The service never stores it.
class EdgeDigest {
 public:
  static constexpr size_t kSize = 32;
  // The digest of a token string (the whole string, checksum included).
  static EdgeDigest Of(absl::string_view token_string);
  // From the wire; nullopt unless it is kSize bytes.
  static absl::optional<EdgeDigest> FromBytes(absl::string_view bytes);
  absl::string_view bytes() const {
    return absl::string_view(reinterpret_cast<const char*>(bytes_.data()), kSize);
  }
  friend bool operator==(const EdgeDigest&, const EdgeDigest&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const EdgeDigest& digest) {
    return H::combine(std::move(h), digest.bytes_);
  }

 private:
  std::array<uint8_t, kSize> bytes_{};
};

// BLAKE2b-256 of an edge digest, keyed by a pepper: the only trace of the token string that is ever
// stored. Keyring makes it.
class StoredDigest {
 public:
  static constexpr size_t kSize = 32;
  // `key` is a pepper's 32 bytes.
  static StoredDigest Of(const EdgeDigest& edge, absl::string_view key);
  static absl::optional<StoredDigest> FromBytes(absl::string_view bytes);
  absl::string_view bytes() const {
    return absl::string_view(reinterpret_cast<const char*>(bytes_.data()), kSize);
  }
  friend bool operator==(const StoredDigest&, const StoredDigest&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const StoredDigest& digest) {
    return H::combine(std::move(h), digest.bytes_);
  }

 private:
  std::array<uint8_t, kSize> bytes_{};
};

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_DIGEST_H_
