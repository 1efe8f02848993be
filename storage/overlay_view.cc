#include "storage/overlay_view.h"

#include <limits>
#include <utility>

#include "base/status.h"

namespace tollgate::storage {

absl::StatusOr<absl::optional<std::string>> OverlayView::Get(Table table,
                                                             absl::string_view key) const {
  const Changes& changes = changes_[static_cast<size_t>(table)];
  if (!changes.empty()) {
    const auto found = changes.find(std::string(key));
    if (found != changes.end()) return found->second;
  }
  return base_->Get(table, key);
}

absl::StatusOr<std::vector<Entry>> OverlayView::Scan(Table table, absl::string_view begin,
                                                     absl::string_view end, size_t limit) const {
  const Changes& changes = changes_[static_cast<size_t>(table)];
  const auto first = changes.lower_bound(std::string(begin));
  auto last = first;
  size_t deleted = 0;
  for (; last != changes.end() && (end.empty() || last->first < end); ++last) {
    if (!last->second.has_value()) ++deleted;
  }
  if (first == last) return base_->Scan(table, begin, end, limit);

  // Each deletion hides at most one entry of the base, so this many entries leave `limit`; entries
  // of the base beyond them come after the limit.
  const size_t wanted =
      limit > std::numeric_limits<size_t>::max() - deleted ? limit : limit + deleted;
  ASSIGN_OR_RETURN(std::vector<Entry> below, base_->Scan(table, begin, end, wanted));

  std::vector<Entry> merged;
  auto lower = below.begin();
  auto upper = first;
  while (merged.size() < limit && (lower != below.end() || upper != last)) {
    if (upper == last || (lower != below.end() && lower->key < upper->first)) {
      merged.push_back(std::move(*lower++));
      continue;
    }
    if (lower != below.end() && lower->key == upper->first) ++lower;  // replaced or deleted
    if (upper->second.has_value()) merged.push_back(Entry{upper->first, *upper->second});
    ++upper;
  }
  return merged;
}

void OverlayView::Apply(Mutation mutation) {
  changes_[static_cast<size_t>(mutation.table)][std::move(mutation.key)] =
      std::move(mutation.value);
}

std::vector<Mutation> OverlayView::TakeMutations() {
  std::vector<Mutation> mutations;
  for (int i = 0; i < kTableCount; ++i) {
    for (auto& [key, value] : changes_[i]) {
      mutations.push_back(Mutation{static_cast<Table>(i), key, std::move(value)});
    }
    changes_[i].clear();
  }
  return mutations;
}

}  // namespace tollgate::storage
