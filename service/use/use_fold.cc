#include "service/use/use_fold.h"

#include <algorithm>

#include "base/status.h"
#include "service/use/address_wish.h"
#include "service/use/silence.h"
#include "storage/schema.h"

namespace tollgate::service {
namespace {

using store::v1::TokenRecord;
using store::v1::UseRecord;

struct Row {
  std::string key;
  UseRecord use;
  int64_t last_us = 0;  // the latest use, or the latest refused attempt
  // It is the row into which others were folded.
  bool earlier = false;
  // Addresses that the workspace does not ask for were taken out of it.
  bool without_addresses = false;
};

int64_t LastHeardUs(const UseRecord& use) {
  int64_t last_us = use.last_used_us();
  for (const auto& refused : use.refused()) last_us = std::max(last_us, refused.last_us());
  return last_us;
}

// Rows whose last use or attempt lies before this may be folded.
absl::StatusOr<absl::Time> HorizonOf(const storage::View& view, const storage::UseKeyParts& token,
                                     absl::Duration retention, absl::Time now) {
  ASSIGN_OR_RETURN(const auto record, storage::GetRecord<TokenRecord>(
                                          view, storage::Table::kTokens,
                                          storage::TokenKey(token.workspace, token.token_id)));
  if (record.has_value()) {
    retention = std::max(retention, absl::Microseconds(record->retirement().quiet_period_us()));
  }
  return now - retention;
}

absl::Status FoldToken(const storage::View& view, const storage::UseKeyParts& token,
                       std::vector<Row> rows, const UseFoldLimits& limits, absl::Time now,
                       UseFoldStep* step) {
  if (rows.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto there, view.Get(storage::Table::kTokens,
                                              storage::TokenKey(token.workspace, token.token_id)));
  if (!there.has_value()) {
    // A report that was under way as the token was purged.
    for (Row& row : rows) step->removed.push_back(std::move(row.key));
    return absl::OkStatus();
  }
  // The row of the earlier edges stands last, and is never folded into itself.
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.earlier != b.earlier ? b.earlier : a.last_us > b.last_us;
  });
  size_t named = rows.size();
  while (named > 0 && rows[named - 1].earlier) --named;
  UseRecord folded;
  bool any = false;
  absl::Time horizon = absl::InfinitePast();
  if (named > limits.named) {
    ASSIGN_OR_RETURN(horizon, HorizonOf(view, token, limits.retention, now));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    Row& row = rows[i];
    if (i >= limits.named && i < named && absl::FromUnixMicros(row.last_us) < horizon) {
      storage::MergeUseRecord(row.use, &folded);
      step->removed.push_back(std::move(row.key));
      any = true;
    } else if (row.without_addresses) {
      step->removed.push_back(row.key);
      step->folded.emplace_back(std::move(row.key), std::move(row.use));
    }
  }
  if (any) {
    step->folded.emplace_back(storage::UseKey(token.workspace, token.token_id, kEarlierEdges),
                              std::move(folded));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UseFoldStep> PlanUseFold(const storage::View& view, const std::string& from,
                                        const UseFoldLimits& limits, absl::Time now) {
  UseFoldStep step;
  ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                   view.Scan(storage::Table::kUse, from, "", limits.max_rows));
  const bool reached_end = entries.size() < limits.max_rows;
  AddressWish wish(view);
  storage::UseKeyParts token;
  std::vector<Row> rows;
  size_t tokens = 0;
  for (const storage::Entry& entry : entries) {
    ASSIGN_OR_RETURN(storage::UseKeyParts parts, storage::ParseUseKey(entry.key));
    if (tokens == 0 || parts.workspace != token.workspace || parts.token_id != token.token_id) {
      RETURN_IF_ERROR(FoldToken(view, token, std::move(rows), limits, now, &step));
      rows.clear();
      token = parts;
      ++tokens;
    }
    UseRecord use;
    if (!use.ParseFromString(entry.value)) continue;
    ASSIGN_OR_RETURN(const bool without, wish.Apply(parts.workspace, &use));
    const int64_t last_us = LastHeardUs(use);
    rows.push_back({entry.key, std::move(use), last_us, parts.edge == kEarlierEdges, without});
  }
  if (!reached_end && tokens > 1) {
    // The last token's rows may be cut off here; the next step reads that token whole.
    step.next = storage::UsesOfToken(token.workspace, token.token_id).begin;
    return step;
  }
  if (tokens > 0) RETURN_IF_ERROR(FoldToken(view, token, std::move(rows), limits, now, &step));
  if (!reached_end && !entries.empty()) step.next = storage::KeyAfter(entries.back().key);
  return step;
}

}  // namespace tollgate::service
