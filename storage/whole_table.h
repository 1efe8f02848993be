// Walks over all of a table.
#ifndef TOLLGATE_STORAGE_WHOLE_TABLE_H_
#define TOLLGATE_STORAGE_WHOLE_TABLE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "storage/engine.h"
#include "storage/schema.h"

namespace tollgate::storage {

// Calls `each` (const Entry& -> absl::Status) with each entry of the table, in the order of keys,
// until there is an error. Errors: the view's, those of `each`.
template <typename Each>
absl::Status ForEachEntry(const View& view, Table table, const Each& each) {
  // No more is held in memory at once, however large the table is.
  constexpr size_t kAtOnce = 1000;
  std::string from;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<Entry> entries, view.Scan(table, from, "", kAtOnce));
    for (const Entry& entry : entries) RETURN_IF_ERROR(each(entry));
    if (entries.size() < kAtOnce) return absl::OkStatus();
    from = KeyAfter(entries.back().key);
  }
}

// The same of a table whose values are all of one kind: `each` (Record& -> absl::Status) may move
// the record away. DATA_LOSS: one cannot be parsed.
template <typename Record, typename Each>
absl::Status ForEachRecord(const View& view, Table table, const Each& each) {
  Record record;
  return ForEachEntry(view, table, [&](const Entry& entry) -> absl::Status {
    if (!record.ParseFromString(entry.value)) {
      return absl::DataLossError(
          absl::StrCat(Record::descriptor()->name(), ": a record cannot be parsed"));
    }
    return each(record);
  });
}

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_WHOLE_TABLE_H_
