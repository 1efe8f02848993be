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

namespace tollgate::token {

// Several peppers, each with an id; one is primary, and keys what is made from
// now on; the others still find what was made with them. Immutable, thread-safe.
//
// The file is JSON: {"format":1,"primary":2,"peppers":[{"id":1,"key":"<64 hex>"},…]}.
class Keyring {
 public:
  // One fresh pepper, id 1.
  static Keyring Generate(base::Random& random);
  // Reads a file. FAILED_PRECONDITION (KEYRING_PERMISSIONS) unless it is a regular file, no
  // symbolic link, of this process's own user, that nobody else can read (mode 0600 or 0400);
  // NOT_FOUND (KEYRING_NOT_FOUND); FAILED_PRECONDITION: KEYRING_UNREADABLE, KEYRING_MALFORMED.
  static absl::StatusOr<Keyring> Load(const std::string& path);
  // Load, or where there is no file: Generate, and write it durably with mode 0600 (whole or not at
  // all). Of several that start at once one creates it, and all return the same.
  static absl::StatusOr<Keyring> LoadOrCreate(const std::string& path, base::Random& random);

  uint32_t primary_id() const { return primary_id_; }
  // With the primary pepper.
  StoredDigest Digest(const EdgeDigest& edge) const;
  // With every pepper, the primary first: where a token may lie. At most 16 peppers.
  std::vector<std::pair<uint32_t, StoredDigest>> Candidates(const EdgeDigest& edge) const;
  // Of every pepper its id, and 32 bytes that tell it from any other and nothing else about it:
  // BLAKE2b-256 of "tollgate keyring check", keyed by the pepper. No digest of a token is ever one.
  std::vector<std::pair<uint32_t, std::string>> CheckValues() const;

 private:
  struct Pepper {
    uint32_t id;
    base::SecretBytes key;
  };
  // Of a file's text; KEYRING_MALFORMED. Makes no copy of a key that is not wiped.
  static absl::StatusOr<Keyring> FromText(absl::string_view text);
  base::SecretBytes ToText() const;
  uint32_t primary_id_ = 0;
  std::vector<Pepper> peppers_;
};

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_KEYRING_H_
