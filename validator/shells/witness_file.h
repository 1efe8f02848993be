// The state folder of a validator: the newest proof, kept for the next process (R19).
#ifndef TOLLGATE_VALIDATOR_SHELLS_WITNESS_FILE_H_
#define TOLLGATE_VALIDATOR_SHELLS_WITNESS_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "tollgate/v1/edge_service.pb.h"
#include "validator/core/follower.h"

namespace tollgate::validator {

// A validator that brings a proof from before its restart tells a service whose store was put back,
// though it remembers nothing else: it is the witness that a fleet of fresh processes lacks.
//
// The file is mapped, and written in two slots by turns: to keep a proof is to copy some 200 bytes,
// without a system call, and they survive the death of the process. (Not a power cut at once: the
// kernel writes them when it likes.) Not thread-safe; called under the validator's lock.
class WitnessFile final : public ProofKeeper {
 public:
  // Opens `folder`/proof, or makes it, mode 0600. The folder must exist. One process at a time.
  // FAILED_PRECONDITION: STATE_DIR_IN_USE, another process has it open; STATE_DIR_UNUSABLE: the
  // folder or the file cannot be used, or the file is none of ours.
  static absl::StatusOr<std::unique_ptr<WitnessFile>> Open(const std::string& folder);
  ~WitnessFile() override;

  // What the process before this one kept last; nullopt where there was none, or it was torn.
  const absl::optional<tollgate::v1::Proof>& found() const { return found_; }
  void Keep(const tollgate::v1::Proof& proof) override;

 private:
  WitnessFile(int fd, char* bytes) : fd_(fd), bytes_(bytes) {}
  bool Load();

  const int fd_;  // holds the lock
  char* const bytes_;
  uint64_t sequence_ = 0;  // of the newest slot
  absl::optional<tollgate::v1::Proof> found_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_WITNESS_FILE_H_
