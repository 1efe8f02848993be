#include "validator/core/shared_requirements.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace tollgate::validator {
namespace {

// What two requirements that are met alike have in common, and no others.
std::string KeyOf(const token::Requirement& requirement) {
  std::string key;
  const auto add = [&key](absl::string_view text) {
    absl::StrAppend(&key, text.size(), ":", text);
  };
  for (const auto* scopes : {&requirement.any_scopes, &requirement.all_scopes}) {
    absl::StrAppend(&key, scopes->size(), ";");
    for (const std::string& scope : *scopes) add(scope);
  }
  add(requirement.audience);
  add(requirement.workspace);
  add(requirement.scope_expression.text());
  return key;
}

}  // namespace

SharedRequirements::Shared SharedRequirements::Share(const token::Requirement& requirement) {
  std::string key = KeyOf(requirement);
  absl::MutexLock lock(&mu_);
  const auto found = known_.find(key);
  if (found != known_.end()) {
    Shared shared = found->second.lock();
    if (shared == nullptr)
      found->second = shared = std::make_shared<token::Requirement>(requirement);
    return shared;
  }
  if (known_.size() >= sweep_at_ || bytes_ + key.size() > kMostBytes) Sweep();
  if (known_.size() >= kMost || bytes_ + key.size() > kMostBytes) return nullptr;
  auto shared = std::make_shared<const token::Requirement>(requirement);
  bytes_ += key.size();
  known_[std::move(key)] = shared;
  return shared;
}

void SharedRequirements::Sweep() {
  size_t bytes = 0;
  absl::erase_if(known_, [&bytes](const auto& entry) {
    if (entry.second.expired()) return true;
    bytes += entry.first.size();
    return false;
  });
  bytes_ = bytes;
  sweep_at_ = std::min(std::max(kFewest, 2 * known_.size()), kMost);
}

}  // namespace tollgate::validator
