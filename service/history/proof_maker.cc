#include "service/history/proof_maker.h"

#include <string>

namespace tollgate::service {

absl::optional<v1::Proof> ProofMaker::ProofOf(int64_t revision,
                                              absl::string_view fingerprint) const {
  const absl::string_view term = history_.TermOf(revision);
  if (term.empty()) return absl::nullopt;
  v1::Proof proof;
  proof.set_store_id(history_.store_id);
  proof.set_epoch(history_.epoch);
  proof.set_term(std::string(term));
  proof.set_revision(revision);
  proof.set_fingerprint(std::string(fingerprint));
  sealer_->Seal(&proof);
  return proof;
}

}  // namespace tollgate::service
