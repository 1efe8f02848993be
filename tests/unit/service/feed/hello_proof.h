// The proof that a validator of the feed's own history brings back (R19).
#ifndef TOLLGATE_TESTS_UNIT_SERVICE_FEED_HELLO_PROOF_H_
#define TOLLGATE_TESTS_UNIT_SERVICE_FEED_HELLO_PROOF_H_

#include <memory>
#include <string>

#include "lease/proof.h"
#include "service/history/proof_maker.h"
#include "storage/engine.h"
#include "storage/schema.h"

namespace tollgate::service {

inline std::shared_ptr<const lease::Sealer> SealerOf(char byte) {
  return std::make_shared<const lease::Sealer>(
      base::SecretBytes::CopyOf(std::string(lease::kSealingKeyBytes, byte)));
}

// Of a revision that the store does not hold: a sealed proof all the same, as of a store that was
// put back since.
inline v1::Proof HelloProof(storage::Engine& engine, const History& history,
                            std::shared_ptr<const lease::Sealer> sealer, int64_t revision) {
  const auto found = storage::FingerprintAt(**engine.NewSnapshot(), revision);
  return *ProofMaker(history, std::move(sealer))
              .ProofOf(revision, found->value_or(std::string(lease::kFingerprintBytes, '?')));
}

}  // namespace tollgate::service

#endif  // TOLLGATE_TESTS_UNIT_SERVICE_FEED_HELLO_PROOF_H_
