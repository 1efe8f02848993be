#include "validator/embedded/requirement.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "token/scope_expression.h"

namespace tollgate::edge {
namespace {

// The id of no workspace.
constexpr char kNoWorkspace[] = "/";

}  // namespace

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

Result<Requirement> Requirement::WithExpression(std::string_view scope_expression) const {
  absl::StatusOr<token::ScopeExpression> parsed = token::ScopeExpression::Parse(
      absl::string_view(scope_expression.data(), scope_expression.size()));
  if (!parsed.ok()) {
    return Error{ErrorCode::kInvalidArgument, base::ReasonOf(parsed.status()),
                 std::string(parsed.status().message())};
  }
  Requirement with = *this;
  with.Mine().requirement.scope_expression = *std::move(parsed);
  return with;
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

Requirement& Requirement::Workspace(std::string id) {
  // The core takes an empty one for "any".
  Mine().requirement.workspace = id.empty() ? kNoWorkspace : std::move(id);
  return *this;
}

const token::Requirement& CoreRequirementOf(const Requirement& requirement) {
  static const token::Requirement* const nothing = new token::Requirement;
  return requirement.held() != nullptr ? requirement.held()->requirement : *nothing;
}

std::shared_ptr<const token::Requirement> SharedCoreRequirementOf(const Requirement& requirement) {
  if (requirement.held() != nullptr) {
    return std::shared_ptr<const token::Requirement>(requirement.held(),
                                                     &requirement.held()->requirement);
  }
  // Of nobody's memory, because nothing is counted of it.
  return std::shared_ptr<const token::Requirement>(std::shared_ptr<void>(),
                                                   &CoreRequirementOf(requirement));
}

}  // namespace tollgate::edge
