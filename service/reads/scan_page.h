// Records, read for one page of a list.
#ifndef TOLLGATE_SERVICE_READS_SCAN_PAGE_H_
#define TOLLGATE_SERVICE_READS_SCAN_PAGE_H_

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "base/status.h"
#include "service/reads/page_token.h"
#include "storage/engine.h"
#include "storage/schema.h"

namespace tollgate::service {

// The most records that are read for one page. A filter that matches little thus gives short pages,
// even empty ones, with a next_page_token.
inline constexpr size_t kMaxScannedPerPage = 5000;

// Calls `each` with entries until the page is full: it has `page_size` items or kMaxPageBytes, or
// kMaxScannedPerPage entries were read for it. `fetch` reads, as StatusOr<std::vector<Entry>>, up
// to so many of the list's entries as its second argument says: those behind the key that is its
// first one. The page begins behind `after`, "" for the first. `each` takes an entry and returns
// the size in bytes of the item that it made of it, as StatusOr<size_t>; 0: it made none. Returns
// the key after which the next page begins; nullopt: there is none. Errors: those of `fetch` and of
// `each`.
template <typename Fetch, typename Each>
absl::StatusOr<absl::optional<std::string>> FillPage(std::string after, size_t page_size,
                                                     Fetch fetch, Each each) {
  constexpr size_t kAtATime = 250;
  size_t scanned = 0;
  size_t items = 0;
  size_t bytes = 0;
  while (true) {
    const size_t want = std::min(kAtATime, kMaxScannedPerPage - scanned);
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries, fetch(after, want));
    for (const storage::Entry& entry : entries) {
      ++scanned;
      ASSIGN_OR_RETURN(const size_t size, each(entry));
      if (size > 0) ++items;
      bytes += size;
      if (items < page_size && bytes < kMaxPageBytes && scanned < kMaxScannedPerPage) continue;
      ASSIGN_OR_RETURN(const auto rest, fetch(entry.key, 1));
      if (rest.empty()) return absl::nullopt;
      return entry.key;
    }
    if (entries.size() < want) return absl::nullopt;
    after = entries.back().key;
  }
}

// As above, with the entries of `table` in `range`, in their order; the page begins with the
// range. Errors: the view's, and those of `each`.
template <typename Each>
absl::StatusOr<absl::optional<std::string>> ScanPage(const storage::View& view,
                                                     storage::Table table, storage::KeyRange range,
                                                     size_t page_size, Each each) {
  const auto fetch = [&](const std::string& after, size_t want) {
    return view.Scan(table, after.empty() ? range.begin : storage::KeyAfter(after), range.end,
                     want);
  };
  return FillPage("", page_size, fetch, std::move(each));
}

// The keys of the workspace's tokens behind that of token id `after`; "": of all.
inline storage::KeyRange TokensAfter(absl::string_view workspace, absl::string_view after) {
  storage::KeyRange range = storage::WorkspaceTokens(workspace);
  if (!after.empty()) range.begin = storage::KeyAfter(storage::TokenKey(workspace, after));
  return range;
}

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_READS_SCAN_PAGE_H_
