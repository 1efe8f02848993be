#include "service/records/near_names.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/edit_distance.h"
#include "base/status.h"
#include "token/resource_name.h"

namespace tollgate::service {
namespace {

constexpr size_t kMostSuggested = 3;
// The most names that a command reads on the committer's thread (R16).
constexpr size_t kMostLookedAt = 500;

}  // namespace

std::vector<std::string> NearNames(absl::string_view name, const std::vector<std::string>& known) {
  const std::string folded = absl::AsciiStrToLower(name);
  std::vector<std::pair<size_t, const std::string*>> near;
  for (const std::string& other : known) {
    const bool part = absl::StrContains(other, name) || absl::StrContains(name, other);
    const size_t most = std::max<size_t>(2, name.size() / 5);
    // So many letters apart at least, which is found for less.
    const size_t apart = std::max(name.size(), other.size()) - std::min(name.size(), other.size());
    if (!part && apart > most) continue;
    const size_t distance = base::EditDistance(folded, absl::AsciiStrToLower(other));
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
  for (const storage::Entry& entry : entries) {
    if (entry.key != token::kOperatorWorkspace) known.push_back(entry.key);
  }
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
