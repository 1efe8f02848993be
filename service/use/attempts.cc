#include "service/use/attempts.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "storage/address_records.h"
#include "storage/engine.h"

namespace tollgate::service {

using tollgate::v1::VerdictReason;

bool IsReportedReason(int reason) {
  return std::find(kReportedReasons.begin(), kReportedReasons.end(), reason) !=
         kReportedReasons.end();
}

std::vector<AttemptsRow> AttemptsIn(const std::vector<EdgeReport>& reports) {
  std::vector<AttemptsRow> rows;
  for (const EdgeReport& report : reports) {
    for (const tollgate::store::v1::RefusedRecord& refused : report.record.refused()) {
      rows.push_back({report.edge, static_cast<VerdictReason>(refused.reason()), refused.count(),
                      absl::FromUnixMicros(refused.first_us()),
                      absl::FromUnixMicros(refused.last_us()), refused.addresses()});
    }
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const AttemptsRow& a, const AttemptsRow& b) { return a.last > b.last; });
  return rows;
}

std::vector<AttemptsRow> NameLatestAttempts(std::vector<AttemptsRow> rows, size_t most) {
  std::vector<AttemptsRow> named;
  std::set<std::string> edges;
  std::map<VerdictReason, AttemptsRow> others;
  for (AttemptsRow& row : rows) {
    if (row.edge != kEarlierEdges && (edges.size() < most || edges.count(row.edge) != 0)) {
      edges.insert(row.edge);
      named.push_back(std::move(row));
      continue;
    }
    const auto [at, added] = others.try_emplace(row.reason, row);
    AttemptsRow& sum = at->second;
    sum.edge = kEarlierEdges;
    if (added) continue;
    sum.count = storage::AddUseCounts(sum.count, row.count);
    sum.first = std::min(sum.first, row.first);
    sum.last = std::max(sum.last, row.last);
    storage::MergeAddressRecords(row.addresses, &sum.addresses);
  }
  for (auto& [reason, sum] : others) named.push_back(std::move(sum));
  return named;
}

absl::Time LastTried(const std::vector<AttemptsRow>& rows, tollgate::v1::TokenState state,
                     absl::Time resumed) {
  VerdictReason reason = tollgate::v1::VERDICT_REASON_UNSPECIFIED;
  absl::Time after = absl::InfinitePast();
  switch (state) {
    case tollgate::v1::TOKEN_STATE_REVOKED:
      reason = tollgate::v1::VERDICT_REASON_REVOKED;
      break;
    case tollgate::v1::TOKEN_STATE_EXPIRED:
      reason = tollgate::v1::VERDICT_REASON_EXPIRED;
      break;
    case tollgate::v1::TOKEN_STATE_SUSPENDED:
      reason = tollgate::v1::VERDICT_REASON_SUSPENDED;
      after = resumed;
      break;
    default:
      return absl::InfinitePast();
  }
  for (const AttemptsRow& row : rows) {  // latest first
    if (row.reason == reason) return row.last > after ? row.last : absl::InfinitePast();
  }
  return absl::InfinitePast();
}

}  // namespace tollgate::service
