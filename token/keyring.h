// The peppers that key stored digests; they lie in a file of their own.
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
#include "token/secret_file.h"

namespace tollgate::token {

// Several peppers, each with an id. The primary one keys every new digest; the others still find
// the digests that they keyed. Immutable, thread-safe.
//
// The file is JSON: {"format":1,"primary":2,"peppers":[{"id":1,"key":"<64 hex>"},…]}.
class Keyring {
 public:
  // One fresh pepper, id 1.
  static Keyring Generate(base::Random& random);
  // Reads a file. FAILED_PRECONDITION (KEYRING_PERMISSIONS) unless it is a regular file that only
  // these can read (token/secret_file.h); NOT_FOUND (KEYRING_NOT_FOUND); FAILED_PRECONDITION:
  // KEYRING_UNREADABLE, KEYRING_MALFORMED.
  static absl::StatusOr<Keyring> Load(const std::string& path,
                                      SecretReaders readers = SecretReaders::kOwner);
  // Load; or, where there is no file, Generate, and write the file durably with mode 0600 (whole or
  // not at all). Of several processes that start at once, one creates the file, and all return the
  // same keyring.
  static absl::StatusOr<Keyring> LoadOrCreate(const std::string& path, base::Random& random,
                                              SecretReaders readers = SecretReaders::kOwner);

  uint32_t primary_id() const { return primary_id_; }
  // The stored digest under the primary pepper.
  StoredDigest Digest(const EdgeDigest& edge) const;
  // The stored digest under every pepper, the primary first: a token may lie under any of them. At
  // most 16 peppers.
  std::vector<std::pair<uint32_t, StoredDigest>> Candidates(const EdgeDigest& edge) const;
  // The id of every pepper, with 32 bytes that tell the pepper from any other and reveal nothing
  // else about it: BLAKE2b-256 of "tollgate keyring check", keyed by the pepper. No digest of a
  // token ever equals such a value.
  std::vector<std::pair<uint32_t, std::string>> CheckValues() const;

 private:
  struct Pepper {
    uint32_t id;
    base::SecretBytes key;
  };
  // Reads a file's text; KEYRING_MALFORMED. Every copy of a key that it makes is wiped.
  static absl::StatusOr<Keyring> FromText(absl::string_view text);
  base::SecretBytes ToText() const;
  uint32_t primary_id_ = 0;
  std::vector<Pepper> peppers_;
};

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_KEYRING_H_
