#include "validator/core/shared_requirements.h"

#include <algorithm>

namespace tollgate::validator {

SharedRequirements::Shared SharedRequirements::Share(const std::string& bytes,
                                                     const token::Requirement& requirement) {
  absl::MutexLock lock(&mu_);
  std::weak_ptr<const token::Requirement>& known = known_[bytes];
  Shared shared = known.lock();
  if (shared != nullptr) return shared;
  shared = std::make_shared<const token::Requirement>(requirement);
  known = shared;
  if (known_.size() > sweep_at_) {
    absl::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max(kFewest, 2 * known_.size());
  }
  return shared;
}

}  // namespace tollgate::validator
