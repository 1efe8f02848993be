// The peppers that key stored digests, in a file of their own.
#ifndef TOLLGATE_TOKEN_KEYRING_H_
#define TOLLGATE_TOKEN_KEYRING_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/random.h"
#include "base/secret.h"
#include "token/digest.h"

namespace tollgate {

// Several peppers, each with an id; one is primary, and keys what is made from
// now on; the others still find what was made with them. Immutable, thread-safe.
//
// The file is JSON: {"format":1,"primary":2,"peppers":[{"id":1,"key":"<64 hex>"},…]}.
class Keyring {
 public:
  // One fresh pepper, id 1.
  static Keyring Generate(Random& random);
  // Reads a file. FAILED_PRECONDITION (KEYRING_PERMISSIONS) unless it is a regular file that only
  // its owner can read (mode 0600 or 0400); NOT_FOUND; KEYRING_UNREADABLE; KEYRING_MALFORMED.
  static absl::StatusOr<Keyring> Load(const std::string& path);
  // Load, or where there is no file: Generate, and write it durably with mode 0600 (whole or not at all).
  static absl::StatusOr<Keyring> LoadOrCreate(const std::string& path, Random& random);

  uint32_t primary_id() const { return primary_id_; }
  // With the primary pepper.
  StoredDigest Digest(const EdgeDigest& edge) const;
  // With every pepper, the primary first: where a token may lie. At most 16 peppers.
  std::vector<std::pair<uint32_t, StoredDigest>> Candidates(const EdgeDigest& edge) const;
  // The same peppers plus a fresh one, which becomes primary.
  Keyring Rotated(Random& random) const;
  // Writes it as LoadOrCreate does, replacing what is there by a rename.
  absl::Status Save(const std::string& path) const;

 private:
  struct Pepper {
    uint32_t id;
    SecretBytes key;
  };
  uint32_t primary_id_ = 0;
  std::vector<Pepper> peppers_;
};

}  // namespace tollgate

#endif  // TOLLGATE_TOKEN_KEYRING_H_
