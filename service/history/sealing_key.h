// The key that seals proofs (R19), in a file of its own: no pepper, and of one epoch only.
#ifndef TOLLGATE_SERVICE_HISTORY_SEALING_KEY_H_
#define TOLLGATE_SERVICE_HISTORY_SEALING_KEY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/random.h"
#include "lease/proof.h"
#include "token/secret_file.h"

namespace tollgate::service {

// How the key was come by.
enum class SealingKeyOrigin {
  kFound,
  kMade,      // there was no file
  kReplaced,  // the file's key was of another epoch: no proof of that one is needed any more
};

// A sealing key that is ready for use.
struct SealingKey {
  std::shared_ptr<const lease::Sealer> sealer;
  SealingKeyOrigin origin = SealingKeyOrigin::kFound;
};

// The key of this epoch in the file at `path`, made where there is none, or none of this epoch. An
// empty path: a key that only this process has. The file is one line: `tollgate-seal-1 EPOCH KEY`,
// the key in 64 hexadecimal digits. Errors: FAILED_PRECONDITION, SEALING_KEY_PERMISSIONS,
// _UNREADABLE, _UNWRITABLE, _MALFORMED (see token/secret_file.h).
absl::StatusOr<SealingKey> OpenSealingKey(
    const std::string& path, const std::string& epoch, base::Random& random,
    token::SecretReaders readers = token::SecretReaders::kOwner);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_HISTORY_SEALING_KEY_H_
