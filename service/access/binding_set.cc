#include "service/access/binding_set.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "service/access/member.h"
#include "token/resource_name.h"

namespace tollgate::service {
namespace {

bool Grants(const Binding& binding, Permission permission, const Place& place) {
  if (!Has(binding.role, permission)) return false;
  if (binding.workspaces.empty()) return true;
  switch (place.kind) {
    case Place::Kind::kService:
      return false;
    case Place::Kind::kAnywhere:
      return true;
    case Place::Kind::kWorkspace:
      break;
  }
  return std::binary_search(binding.workspaces.begin(), binding.workspaces.end(), place.workspace);
}

}  // namespace

Place PlaceOf(Permission permission, absl::string_view resource) {
  switch (ScopeOf(permission)) {
    case PermissionScope::kService:
      return {Place::Kind::kService, ""};
    case PermissionScope::kAnywhere:
      return {Place::Kind::kAnywhere, ""};
    case PermissionScope::kWorkspace:
      break;
  }
  const bool named = absl::ConsumePrefix(&resource, "workspaces/");
  if (!named && permission != Permission::kCreateWorkspace) return {Place::Kind::kService, ""};
  const absl::string_view workspace = named ? resource.substr(0, resource.find('/')) : resource;
  if (named && workspace == "-") return {Place::Kind::kAnywhere, ""};
  if (!token::IsWorkspaceId(workspace)) return {Place::Kind::kService, ""};
  return {Place::Kind::kWorkspace, workspace};
}

BindingSet::BindingSet(std::vector<Binding> bindings) : bindings_(std::move(bindings)) {
  for (const Binding& binding : bindings_) {
    if (IsPattern(binding.member)) {
      patterns_.push_back(&binding);
    } else {
      by_member_[binding.member].push_back(&binding);
    }
  }
}

const Binding* BindingSet::Find(absl::string_view caller, Permission permission,
                                const Place& place) const {
  const auto own = by_member_.find(caller);
  if (own != by_member_.end()) {
    for (const Binding* binding : own->second) {
      if (Grants(*binding, permission, place)) return binding;
    }
  }
  for (const Binding* binding : patterns_) {
    if (Grants(*binding, permission, place) && IsMember(caller, binding->member)) return binding;
  }
  return nullptr;
}

}  // namespace tollgate::service
