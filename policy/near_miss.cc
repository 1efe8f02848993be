#include "policy/near_miss.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "base/edit_distance.h"

namespace tollgate::policy {
namespace {

constexpr size_t kLongestWord = 64;

}  // namespace

std::string NearMiss(absl::string_view word, absl::Span<const absl::string_view> known) {
  if (word.size() > kLongestWord) return "";
  std::string folded = absl::AsciiStrToLower(word);
  std::replace(folded.begin(), folded.end(), '-', '_');
  absl::string_view nearest;
  size_t least = 0;
  for (const absl::string_view candidate : known) {
    const size_t distance = base::EditDistance(folded, candidate);
    if (nearest.empty() || distance < least) {
      nearest = candidate;
      least = distance;
    }
  }
  if (nearest.empty() || 3 * least > std::max(folded.size(), nearest.size())) return "";
  return std::string(nearest);
}

}  // namespace tollgate::policy
