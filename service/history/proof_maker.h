// Makes the proofs that followers are given (R19).
#ifndef TOLLGATE_SERVICE_HISTORY_PROOF_MAKER_H_
#define TOLLGATE_SERVICE_HISTORY_PROOF_MAKER_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "lease/proof.h"
#include "service/history/history.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {

// Of one process: its store, epoch and term. Immutable; thread-safe.
class ProofMaker {
 public:
  ProofMaker(History history, std::shared_ptr<const lease::Sealer> sealer)
      : history_(std::move(history)), sealer_(std::move(sealer)) {}

  // The proof of `revision`, which is durable (R7) and has this fingerprint. Its term is the one
  // that the revision was committed in, whoever tells of it: with the number it names the commit
  // once fingerprints are no longer kept. Nullopt: the revision is from before there were terms.
  absl::optional<tollgate::v1::Proof> ProofOf(int64_t revision,
                                              absl::string_view fingerprint) const;
  // Whether the proof was made with our sealing key: by this service, or by one that runs on a copy
  // of its files.
  bool IsSealed(const tollgate::v1::Proof& proof) const { return sealer_->IsSealed(proof); }

 private:
  const History history_;
  const std::shared_ptr<const lease::Sealer> sealer_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_HISTORY_PROOF_MAKER_H_
