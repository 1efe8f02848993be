// A policy's YAML, read: what the file says, checked, in the order of the file.
#ifndef TOLLGATE_POLICY_POLICY_FILE_H_
#define TOLLGATE_POLICY_POLICY_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "policy/credential.h"
#include "policy/pattern.h"
#include "policy/policy.h"
#include "token/grant.h"

namespace tollgate::policy {

// What a request needs to pass.
struct Needs {
  bool token = false;     // false: nothing; it is open to all
  bool optional = false;  // without a token it passes
  token::Requirement requirement;
  // The variable of the path that must be the token's workspace; empty: none. Otherwise
  // `requirement.workspace` may name one.
  std::string workspace_variable;

  std::string text() const;  // for people: "any of deploy:write, admin; audience deploys"
};

// Headers that begin so are Tollgate's to state, whether the policy names them or not.
inline constexpr absl::string_view kOwnPrefix = "x-tollgate-";

// What stands before the name of a requirement in its route's name.
inline constexpr absl::string_view kRequirementPrefix = "requirement ";

struct Rule {
  Route route;
  Pattern pattern;  // of a named requirement: empty
  Needs needs;
};

struct PolicyFile {
  CredentialPlaces places;
  Upstream upstream;
  Words words;
  // Paths that differ from a route's in the case of letters are refused; false: they are others.
  bool guard_case = true;
  // The header, in lower case, in which the proxy tells from where the client comes; empty: none.
  std::string client_header;
  std::vector<Rule> rules;
  std::vector<Rule> requirements;  // by name
  // What takes what no route takes; nullopt: it is refused with `otherwise_status`.
  absl::optional<Rule> otherwise;
  int otherwise_status = 403;
};

// Reads `text`; `name` stands in errors. INVALID_ARGUMENT (POLICY_INVALID): the first fault, with
// its place, the key, and what would be right.
absl::StatusOr<PolicyFile> ReadPolicyFile(absl::string_view text, absl::string_view name);

}  // namespace tollgate::policy

#endif  // TOLLGATE_POLICY_POLICY_FILE_H_
