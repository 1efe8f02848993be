// A YAML text as a tree that remembers its lines. Strict where YAML is lenient: a key stands once,
// and there are no anchors, aliases, tags, merge keys or second documents.
#ifndef TOLLGATE_POLICY_YAML_TREE_H_
#define TOLLGATE_POLICY_YAML_TREE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tollgate::policy {

struct YamlEntry;

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 0;                    // from 1
  std::string text;                // kScalar
  bool plain = false;              // kScalar: written without quotes
  std::vector<YamlNode> items;     // kList
  std::vector<YamlEntry> entries;  // kMap, in their order

  // The value of a key of a map; nullptr: there is none.
  const YamlNode* Find(absl::string_view key) const;
};

struct YamlEntry {
  std::string key;
  int line = 0;  // of the key
  YamlNode value;
};

inline constexpr size_t kLongestYaml = size_t{1} << 20;
inline constexpr size_t kDeepestYaml = 12;

// Reads one document. An empty text is a kNull. INVALID_ARGUMENT (POLICY_INVALID) otherwise, with
// "NAME:LINE: " before the message. Bounded: a text above 1 MiB, or deeper than 12, is refused.
absl::StatusOr<YamlNode> ParseYaml(absl::string_view text, absl::string_view name);

// The error of every fault in a policy: "NAME:LINE: WHAT"; without a line for 0.
absl::Status PolicyFault(absl::string_view name, int line, absl::string_view what);

}  // namespace tollgate::policy

#endif  // TOLLGATE_POLICY_YAML_TREE_H_
