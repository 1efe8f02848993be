#include "service/use/silence.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "storage/schema.h"

namespace tollgate::service {
namespace {

constexpr size_t kAtATime = 1000;

}  // namespace

int64_t UseDayOf(absl::Time time) {
  return absl::ToUnixMicros(time) / (int64_t{24} * 3600 * 1'000'000);
}

std::vector<EdgeUseRow> NameLatestEdges(std::vector<EdgeUseRow> rows, size_t most) {
  std::vector<EdgeUseRow> named;
  EdgeUseRow others{kEarlierEdges, absl::InfinitePast()};
  bool any = false;
  for (EdgeUseRow& row : rows) {
    if (row.edge != kEarlierEdges && named.size() < most) {
      named.push_back(std::move(row));
      continue;
    }
    any = true;
    others.last_used = std::max(others.last_used, row.last_used);
    others.count = storage::AddUseCounts(others.count, row.count);
    others.count_today = storage::AddUseCounts(others.count_today, row.count_today);
  }
  if (any) named.push_back(std::move(others));
  return named;
}

absl::StatusOr<std::vector<EdgeReport>> ReadEdgeReports(const storage::View& view,
                                                        absl::string_view workspace,
                                                        absl::string_view token_id) {
  std::vector<EdgeReport> reports;
  if (token_id.empty()) return reports;
  const storage::KeyRange range = storage::UsesOfToken(workspace, token_id);
  std::string from = range.begin;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                     view.Scan(storage::Table::kUse, from, range.end, kAtATime));
    for (const storage::Entry& entry : entries) {
      ASSIGN_OR_RETURN(storage::UseKeyParts parts, storage::ParseUseKey(entry.key));
      EdgeReport report;
      report.edge = std::move(parts.edge);
      if (!report.record.ParseFromString(entry.value)) {
        return absl::DataLossError("a use record cannot be parsed");
      }
      reports.push_back(std::move(report));
    }
    if (entries.size() < kAtATime) return reports;
    from = storage::KeyAfter(entries.back().key);
  }
}

std::vector<EdgeUseRow> UsesIn(const std::vector<EdgeReport>& reports, absl::Time now) {
  std::vector<EdgeUseRow> rows;
  const int64_t today = UseDayOf(now);
  for (const EdgeReport& report : reports) {
    const tollgate::store::v1::UseRecord& use = report.record;
    if (use.last_used_us() == 0) continue;
    rows.push_back({report.edge, absl::FromUnixMicros(use.last_used_us()), use.count(),
                    use.day() == today ? use.count_today() : 0});
  }
  std::stable_sort(rows.begin(), rows.end(), [](const EdgeUseRow& a, const EdgeUseRow& b) {
    return a.last_used > b.last_used;
  });
  return rows;
}

absl::StatusOr<std::vector<EdgeUseRow>> ReadUses(const storage::View& view,
                                                 absl::string_view workspace,
                                                 absl::string_view token_id, absl::Time now) {
  ASSIGN_OR_RETURN(const std::vector<EdgeReport> reports,
                   ReadEdgeReports(view, workspace, token_id));
  return UsesIn(reports, now);
}

bool KnownUnused(const std::vector<EdgeUseRow>& uses, const SilenceEvidence& evidence,
                 absl::Time created, absl::Time until, absl::Time jump) {
  if (!uses.empty() || !evidence.unheard.empty() || evidence.heard_until < until) return false;
  if (created < evidence.gaps_since) return false;
  return std::none_of(
      evidence.gaps.begin(), evidence.gaps.end(),
      [&](const SilenceEvidence::Gap& gap) { return gap.until > created || jump > created; });
}

SilenceVerdict JudgeSilence(const std::vector<EdgeUseRow>& old_uses,
                            const std::vector<EdgeUseRow>& replacement_uses,
                            const SilenceEvidence& evidence, absl::Time resumed,
                            absl::Duration quiet_period, absl::Time now) {
  SilenceVerdict verdict;
  // Up to when use is known everywhere. Where some edge is not heard, the others' reports can still
  // show "in use", but never "silent".
  const bool all_heard = evidence.unheard.empty() && evidence.heard_until > absl::InfinitePast();
  const absl::Time known_until = all_heard ? std::min(evidence.heard_until, now) : now;
  const absl::Time quiet_since = known_until - quiet_period;

  for (const EdgeUseRow& use : old_uses) {
    if (use.last_used <= quiet_since) continue;
    verdict.edges.push_back(use.edge);
    verdict.last_used = std::max(verdict.last_used, use.last_used);
  }
  if (!verdict.edges.empty()) {
    verdict.kind = SilenceVerdict::Kind::kInUse;
    verdict.count_today = old_uses.front().count_today;  // latest first
    return verdict;
  }
  if (replacement_uses.empty()) {
    verdict.kind = SilenceVerdict::Kind::kReplacementNeverSeen;
    return verdict;
  }
  for (const SilenceEvidence::Unheard& edge : evidence.unheard) {
    verdict.edges.push_back(edge.edge);
  }
  for (const SilenceEvidence::Gap& gap : evidence.gaps) {
    if (gap.until > quiet_since) verdict.edges.push_back(gap.edge);
  }
  std::sort(verdict.edges.begin(), verdict.edges.end());
  verdict.edges.erase(std::unique(verdict.edges.begin(), verdict.edges.end()), verdict.edges.end());
  if (!all_heard || !verdict.edges.empty()) {
    verdict.kind = SilenceVerdict::Kind::kNotHeard;
  } else if (resumed > quiet_since) {
    verdict.kind = SilenceVerdict::Kind::kResumedLately;
  } else {
    verdict.kind = SilenceVerdict::Kind::kSilent;
  }
  return verdict;
}

std::vector<std::pair<std::string, std::string>> LastUseFacts(const std::vector<EdgeUseRow>& uses) {
  if (uses.empty()) return {};
  return {{"last_used_edge", uses.front().edge},
          {"last_used_time",
           absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", uses.front().last_used, absl::UTCTimeZone())}};
}

}  // namespace tollgate::service
