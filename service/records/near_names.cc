#include "service/records/near_names.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"

namespace tollgate::service {
namespace {

constexpr size_t kMostSuggested = 3;
// The most names that a command reads on the committer's thread (R16).
constexpr size_t kMostLookedAt = 500;

// How many letters turn one name into the other (Levenshtein), ASCII case apart.
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = absl::ascii_tolower(static_cast<unsigned char>(a[i - 1])) ==
                        absl::ascii_tolower(static_cast<unsigned char>(b[j - 1]));
      const size_t changed = diagonal + (same ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row[b.size()];
}

}  // namespace

std::vector<std::string> NearNames(absl::string_view name, const std::vector<std::string>& known) {
  std::vector<std::pair<size_t, const std::string*>> near;
  for (const std::string& other : known) {
    const bool part = absl::StrContains(other, name) || absl::StrContains(name, other);
    const size_t most = std::max<size_t>(2, name.size() / 5);
    // So many letters apart at least, which is found for less.
    const size_t apart = std::max(name.size(), other.size()) - std::min(name.size(), other.size());
    if (!part && apart > most) continue;
    const size_t distance = Distance(name, other);
    // Of a short name most letters must stay: else everything short is near.
    const bool alike = distance <= most && 2 * distance <= std::max(name.size(), other.size());
    if (part || alike) near.emplace_back(distance, &other);
  }
  std::sort(near.begin(), near.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first, *a.second) < std::tie(b.first, *b.second);
  });
  if (near.size() > kMostSuggested) near.resize(kMostSuggested);
  std::vector<std::string> names;
  names.reserve(near.size());
  for (const auto& [distance, other] : near) names.push_back(*other);
  return names;
}

absl::Status NoSuchWorkspace(const storage::View& view, absl::string_view workspace) {
  ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                   view.Scan(storage::Table::kWorkspaces, "", "", kMostLookedAt));
  std::vector<std::string> known;
  known.reserve(entries.size());
  for (const storage::Entry& entry : entries) known.push_back(entry.key);
  const std::vector<std::string> near = NearNames(workspace, known);
  const bool none = known.empty();
  base::ErrorDetails details;
  details.reason = "WORKSPACE_NOT_FOUND";
  details.metadata = {{"workspace", std::string(workspace)}};
  std::string message = absl::StrCat("there is no workspace ", workspace);
  if (none) absl::StrAppend(&message, ", nor any yet: the first comes with its first token");
  if (!near.empty()) {
    absl::StrAppend(&message, ". Did you mean ", absl::StrJoin(near, " or "), "?");
    details.metadata.push_back({"near", absl::StrJoin(near, ",")});
  }
  return base::Refuse(absl::StatusCode::kNotFound, message, details);
}

}  // namespace tollgate::service
