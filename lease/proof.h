// What tells one history of a store from another, when only numbers are left to compare (R19).
#ifndef TOLLGATE_LEASE_PROOF_H_
#define TOLLGATE_LEASE_PROOF_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "base/secret.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::lease {

// Sizes of a proof's fields.
inline constexpr size_t kLongestProofId = 64;    // store id, epoch and term: 32 hex digits as made
inline constexpr size_t kFingerprintBytes = 32;  // BLAKE2b-256
inline constexpr size_t kMacBytes = 32;          // BLAKE2b-256
inline constexpr size_t kSealingKeyBytes = 32;

// OK, or INVALID_ARGUMENT (PROOF_MALFORMED, field "hello.proof"): a field has not the size or the
// range that the service gives it. Says nothing of who made the proof.
absl::Status CheckProof(const tollgate::v1::Proof& proof);

// Makes and recognises the MACs of proofs. The key is of one epoch of one store, and no pepper.
// Immutable; thread-safe.
class Sealer {
 public:
  // `key` has kSealingKeyBytes.
  explicit Sealer(base::SecretBytes key);

  // Sets the MAC over all other fields.
  void Seal(tollgate::v1::Proof* proof) const;
  // Whether the holder of the key sealed it. In constant time for proofs of one size.
  bool IsSealed(const tollgate::v1::Proof& proof) const;

 private:
  std::string Mac(const tollgate::v1::Proof& proof) const;
  const base::SecretBytes key_;
};

}  // namespace tollgate::lease

#endif  // TOLLGATE_LEASE_PROOF_H_
