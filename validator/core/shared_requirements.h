// One copy of each requirement, however many holds have it.
#ifndef TOLLGATE_VALIDATOR_CORE_SHARED_REQUIREMENTS_H_
#define TOLLGATE_VALIDATOR_CORE_SHARED_REQUIREMENTS_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "token/grant.h"

namespace tollgate::validator {

// Thread-safe. Keeps no requirement that nobody has, but for at most as many as are in use.
class SharedRequirements {
 public:
  using Shared = std::shared_ptr<const token::Requirement>;

  // The most different ones at once, and their bytes: services have some, and whoever makes up a
  // new one for each hold has no more of this edge's memory.
  static constexpr size_t kMost = 4096;
  static constexpr size_t kMostBytes = 8 << 20;

  // Null: there is no room for one more.
  Shared Share(const token::Requirement& requirement) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  static constexpr size_t kFewest = 64;

  void Sweep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  absl::Mutex mu_;
  absl::flat_hash_map<std::string, std::weak_ptr<const token::Requirement>> known_
      ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;  // of the keys
  size_t sweep_at_ ABSL_GUARDED_BY(mu_) = kFewest;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_SHARED_REQUIREMENTS_H_
