#include "validator/embedded/requirement.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tollgate::edge {

Requirement::Requirement() = default;
Requirement::~Requirement() = default;
Requirement::Requirement(const Requirement&) = default;
Requirement& Requirement::operator=(const Requirement&) = default;
Requirement::Requirement(Requirement&&) noexcept = default;
Requirement& Requirement::operator=(Requirement&&) noexcept = default;

// A copy is made before it is changed: others may read what they share.
Requirement::Held& Requirement::Mine() {
  auto mine = held_ != nullptr ? std::make_shared<Held>(*held_) : std::make_shared<Held>();
  Held& changed = *mine;
  held_ = std::move(mine);
  return changed;
}

Requirement& Requirement::AllOf(std::vector<std::string> scopes) {
  Mine().requirement.all_scopes = std::move(scopes);
  return *this;
}

Requirement& Requirement::AnyOf(std::vector<std::string> scopes) {
  Mine().requirement.any_scopes = std::move(scopes);
  return *this;
}

Requirement& Requirement::Audience(std::string audience) {
  Mine().requirement.audience = std::move(audience);
  return *this;
}

const token::Requirement& CoreRequirementOf(const Requirement& requirement) {
  static const token::Requirement* const nothing = new token::Requirement;
  return requirement.held() != nullptr ? requirement.held()->requirement : *nothing;
}

}  // namespace tollgate::edge
