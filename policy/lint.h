// What is allowed in a policy, and probably not meant.
#ifndef TOLLGATE_POLICY_LINT_H_
#define TOLLGATE_POLICY_LINT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "policy/policy_file.h"

namespace tollgate::policy {

struct Finding {
  absl::string_view check;  // stable, in lower case with dashes: docs/policy.md lists them
  int line = 0;             // of the file, from 1; 0: the file as a whole
  std::string text;         // what is the matter, and what to do
};

// All findings, in the order of their lines. Rules are called by their number ("rule 3", line 14).
std::vector<Finding> Lint(const PolicyFile& file);

// The rules that between them take all that rule `number` (from 1) would; empty: it can match.
std::vector<int> ShadowedBy(const PolicyFile& file, int number);

}  // namespace tollgate::policy

#endif  // TOLLGATE_POLICY_LINT_H_
