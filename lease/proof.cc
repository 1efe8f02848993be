#include "lease/proof.h"

#include <sodium.h>

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/invariant.h"
#include "base/status.h"

namespace tollgate::lease {
namespace {

using tollgate::v1::Proof;

// No other use of the key, and no later layout, gives the same bytes.
constexpr absl::string_view kTag = "tollgate proof 1";

bool IsId(absl::string_view text) { return !text.empty() && text.size() <= kLongestProofId; }

absl::Status Malformed(absl::string_view field, absl::string_view what) {
  return base::RefuseField("PROOF_MALFORMED", absl::StrCat("hello.proof.", field), what);
}

void Feed(crypto_generichash_state* state, absl::string_view bytes) {
  unsigned char size[8];
  for (int i = 0; i < 8; ++i) size[i] = static_cast<unsigned char>(bytes.size() >> (8 * i));
  crypto_generichash_update(state, size, sizeof(size));
  crypto_generichash_update(state, reinterpret_cast<const unsigned char*>(bytes.data()),
                            bytes.size());
}

}  // namespace

absl::Status CheckProof(const Proof& proof) {
  constexpr char kId[] = "must be 1 to 64 characters, as the service gave it";
  if (!IsId(proof.store_id())) return Malformed("store_id", kId);
  if (!IsId(proof.epoch())) return Malformed("epoch", kId);
  if (!IsId(proof.term())) return Malformed("term", kId);
  if (proof.revision() < 0) return Malformed("revision", "must not be negative");
  if (proof.fingerprint().size() != kFingerprintBytes) {
    return Malformed("fingerprint", "must be 32 bytes, as the service gave it");
  }
  if (proof.mac().size() != kMacBytes) {
    return Malformed("mac", "must be 32 bytes, as the service gave it");
  }
  return absl::OkStatus();
}

Sealer::Sealer(base::SecretBytes key) : key_(std::move(key)) {
  TOLLGATE_INVARIANT(key_.size() == kSealingKeyBytes, "a sealing key has 32 bytes");
}

std::string Sealer::Mac(const Proof& proof) const {
  std::string mac(kMacBytes, '\0');
  crypto_generichash_state state;
  const absl::string_view key = key_.RevealSecret();
  crypto_generichash_init(&state, reinterpret_cast<const unsigned char*>(key.data()), key.size(),
                          mac.size());
  Feed(&state, kTag);
  Feed(&state, proof.store_id());
  Feed(&state, proof.epoch());
  Feed(&state, proof.term());
  Feed(&state, absl::StrCat(proof.revision()));
  Feed(&state, proof.fingerprint());
  crypto_generichash_final(&state, reinterpret_cast<unsigned char*>(mac.data()), mac.size());
  sodium_memzero(&state, sizeof(state));
  return mac;
}

void Sealer::Seal(Proof* proof) const { proof->set_mac(Mac(*proof)); }

bool Sealer::IsSealed(const Proof& proof) const {
  const std::string mac = Mac(proof);
  return proof.mac().size() == mac.size() &&
         sodium_memcmp(proof.mac().data(), mac.data(), mac.size()) == 0;
}

}  // namespace tollgate::lease
