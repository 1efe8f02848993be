// The bindings that are in force, as a judgement needs them. Pure.
#ifndef TOLLGATE_SERVICE_ACCESS_BINDING_SET_H_
#define TOLLGATE_SERVICE_ACCESS_BINDING_SET_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "service/access/permission.h"
#include "service/access/role.h"

namespace tollgate::service {

// A role of a member.
struct Binding {
  Role role = Role::kReader;
  std::string member;
  std::vector<std::string> workspaces;  // ids, in order; empty: everywhere
  bool built_in = false;                // the service was started with it
};

// Where a permission is asked for.
struct Place {
  enum class Kind {
    kService,    // the service itself, or all workspaces at once
    kAnywhere,   // in any workspace
    kWorkspace,  // in that one
  };
  Kind kind = Kind::kService;
  absl::string_view workspace;
};

// Where a permission is asked for, by the resource that a request names, unparsed and untrusted:
// `workspaces/W` and what is under it; `workspaces/-`, in any of them; of CreateWorkspace, W alone.
// The service where it names none, or where the permission is of the service.
Place PlaceOf(Permission permission, absl::string_view resource);

// Immutable, so thread-safe.
class BindingSet {
 public:
  explicit BindingSet(std::vector<Binding> bindings);
  BindingSet(const BindingSet&) = delete;
  BindingSet& operator=(const BindingSet&) = delete;

  // A binding by which the caller of that name has the permission there; nullptr: none. It lives as
  // long as the set. The time does not depend on how many bindings others have, but for patterns.
  const Binding* Find(absl::string_view caller, Permission permission, const Place& place) const;

  size_t size() const { return bindings_.size(); }

 private:
  const std::vector<Binding> bindings_;
  absl::flat_hash_map<std::string, std::vector<const Binding*>> by_member_;
  std::vector<const Binding*> patterns_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_ACCESS_BINDING_SET_H_
