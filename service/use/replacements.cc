#include "service/use/replacements.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/types/optional.h"
#include "base/status.h"
#include "storage/schema.h"

namespace tollgate::service {

using ::tollgate::store::v1::TokenRecord;

namespace {

// Calls `each` with the replacements, nearest first, until it returns false.
template <typename Each>
absl::Status ForEachReplacement(const storage::View& view, const TokenRecord& record, Each each) {
  size_t found = 0;
  // A rotation that was taken back leaves a way round: its replacement is replaced by the old one.
  std::set<std::string> seen = {record.token_id()};
  TokenRecord at = record;
  while (found < kMostReplacements && !at.replaced_by_token_id().empty()) {
    std::vector<std::string> next(at.given_up_token_ids().begin(), at.given_up_token_ids().end());
    next.push_back(at.replaced_by_token_id());
    absl::optional<TokenRecord> further;
    for (const std::string& id : next) {
      if (!seen.insert(id).second) continue;
      ASSIGN_OR_RETURN(auto read,
                       storage::GetRecord<TokenRecord>(view, storage::Table::kTokens,
                                                       storage::TokenKey(record.workspace(), id)));
      if (!read.has_value()) continue;
      ++found;
      ASSIGN_OR_RETURN(const bool on, each(*read));
      if (!on) return absl::OkStatus();
      if (id == at.replaced_by_token_id()) further = *std::move(read);
    }
    if (!further.has_value()) break;
    at = *std::move(further);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<TokenRecord>> ReadReplacements(const storage::View& view,
                                                          const TokenRecord& record) {
  std::vector<TokenRecord> found;
  RETURN_IF_ERROR(
      ForEachReplacement(view, record, [&](const TokenRecord& replacement) -> absl::StatusOr<bool> {
        found.push_back(replacement);
        return true;
      }));
  return found;
}

absl::StatusOr<std::vector<EdgeUseRow>> ReadAnyReplacementUses(const storage::View& view,
                                                               const TokenRecord& record,
                                                               absl::Time now) {
  std::vector<EdgeUseRow> uses;
  RETURN_IF_ERROR(
      ForEachReplacement(view, record, [&](const TokenRecord& replacement) -> absl::StatusOr<bool> {
        ASSIGN_OR_RETURN(uses,
                         ReadUses(view, replacement.workspace(), replacement.token_id(), now));
        return uses.empty();
      }));
  return uses;
}

absl::StatusOr<std::vector<EdgeUseRow>> ReadReplacementUses(const storage::View& view,
                                                            const TokenRecord& record,
                                                            absl::Time now) {
  ASSIGN_OR_RETURN(const std::vector<TokenRecord> replacements, ReadReplacements(view, record));
  std::map<std::string, EdgeUseRow> by_edge;
  for (const TokenRecord& replacement : replacements) {
    ASSIGN_OR_RETURN(const std::vector<EdgeUseRow> uses,
                     ReadUses(view, replacement.workspace(), replacement.token_id(), now));
    for (const EdgeUseRow& use : uses) {
      const auto [it, fresh] = by_edge.emplace(use.edge, use);
      if (fresh) continue;
      EdgeUseRow& row = it->second;
      row.last_used = std::max(row.last_used, use.last_used);
      row.count = storage::AddUseCounts(row.count, use.count);
      row.count_today = storage::AddUseCounts(row.count_today, use.count_today);
    }
  }
  std::vector<EdgeUseRow> rows;
  rows.reserve(by_edge.size());
  for (auto& [edge, row] : by_edge) rows.push_back(std::move(row));
  std::stable_sort(rows.begin(), rows.end(), [](const EdgeUseRow& a, const EdgeUseRow& b) {
    return a.last_used > b.last_used;
  });
  return rows;
}

}  // namespace tollgate::service
